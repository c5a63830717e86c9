"""Counting in strides: nothing is lost, and near the limit every call asks."""

import threading
import time

import pytest

from core import strides
from core.strides import Strides

END = 10_000_000_000.0


class Shared:
    """The counter that all processes share."""

    def __init__(self) -> None:
        self.count = 0
        self.asked = 0
        self._lock = threading.Lock()

    def hit(self, _key: str, _window_seconds: int, amount: int) -> tuple[int, float]:
        with self._lock:
            self.count += amount
            self.asked += 1
            return self.count, END


def test_far_from_the_limit_few_calls_ask_and_all_are_counted() -> None:
    shared = Shared()
    process = Strides(shared.hit)

    numbers = [process.hit("a", 60, 10_000)[0] for _ in range(200)]

    assert numbers == list(range(1, 201))
    assert shared.asked < 100
    assert process.hit("a", 60, 400)[0] == shared.count == 201  # half of the limit is reached


def test_the_call_beyond_the_limit_is_told_exactly() -> None:
    shared = Shared()
    one, other = Strides(shared.hit), Strides(shared.hit)

    numbers = [process.hit("a", 60, 600)[0] for _ in range(400) for process in (one, other)]

    assert shared.count == 800
    assert sum(number <= 600 for number in numbers) == 600


def test_a_process_keeps_little_to_itself() -> None:
    shared = Shared()
    gone, other = Strides(shared.hit), Strides(shared.hit)
    for _ in range(250):  # in one go, and never again
        gone.hit("a", 60, 600)

    numbers = [other.hit("a", 60, 600)[0] for _ in range(600)]

    passed = 250 + sum(number <= 600 for number in numbers)
    assert 600 <= passed <= 600 + 600 / strides.KEPT_SHARE


def test_small_limits_are_counted_call_by_call() -> None:
    shared = Shared()
    processes = [Strides(shared.hit) for _ in range(3)]

    numbers = [processes[turn % 3].hit("a", 60, strides.EXACT_UP_TO)[0] for turn in range(30)]

    assert numbers == list(range(1, 31))


def test_no_call_is_lost_between_threads() -> None:
    shared = Shared()
    process = Strides(shared.hit)

    def call() -> None:
        for _ in range(500):
            process.hit("a", 60, 100_000)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert process.hit("a", 60, 10)[0] == shared.count == 2_001


def test_what_others_counted_while_one_asks_is_kept() -> None:
    shared = Shared()

    def slow(key: str, window_seconds: int, amount: int) -> tuple[int, float]:
        answer = shared.hit(key, window_seconds, amount)
        if shared.asked == 1:
            for _ in range(3):  # they ask, and count on, before this answer is back
                process.hit("a", 60, 10_000)
        return answer

    process = Strides(slow)
    process.hit("a", 60, 10_000)

    assert process.hit("a", 60, 10)[0] == shared.count == 5


def test_what_could_not_be_brought_is_brought_later() -> None:
    shared = Shared()
    down = False

    def ask(key: str, window_seconds: int, amount: int) -> tuple[int, float]:
        if down:
            raise OSError("the disk is full")
        return shared.hit(key, window_seconds, amount)

    process = Strides(ask)
    for _ in range(20):
        process.hit("a", 60, 10_000)
    down = True
    with pytest.raises(OSError, match="full"):
        process.hit("a", 60, 10)
    down = False

    assert process.hit("a", 60, 10)[0] == 21


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([(300, END), (1, END + 60)], id="it ended while one asked"),
        pytest.param([(1, END + 60), (300, END)], id="an answer about the old one comes late"),
    ],
)
def test_a_window_that_ended_leaves_nothing_to_the_next(told: list[tuple[int, float]]) -> None:
    answers = iter(told)
    process = Strides(lambda *_asked: next(answers))

    process.hit("a", 60, 10)
    process.hit("a", 60, 10)

    assert process.hit("a", 60, 10_000) == (2, END + 60)


def test_what_is_owed_to_a_window_that_ended_is_not_brought_into_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = Shared()
    process = Strides(shared.hit)
    for _ in range(5):
        process.hit("a", 60, 10_000)
    monkeypatch.setattr(time, "time", lambda: END + 1)

    process.hit("a", 60, 10_000)

    assert shared.count == 2  # the first of the old window, and this one


def test_other_keys_are_forgotten_before_memory_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strides, "MOST_KEYS", 10)
    shared = Shared()
    process = Strides(shared.hit)

    for number in range(100):
        process.hit(str(number), 60, 10_000)

    assert len(process._known) <= 10
