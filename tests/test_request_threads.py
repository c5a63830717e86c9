"""Threads before a loop: each connection once, and none forgotten while a thread is free."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.gunicorn_threads import Outcome, Threads

PATIENCE_SECONDS = 10.0


class Loop:
    """Turns when it is rung, and then only; notes what the threads have answered."""

    def __init__(self, threads: int) -> None:
        self.answered: list[tuple[object, Outcome]] = []
        self.turns = 0
        self.threads = Threads(threads, work=lambda job: job(), ring=self._ring)
        self._bell = threading.Semaphore(0)

    def _ring(self) -> None:
        self._bell.release()

    def turn_until(self, count: int) -> None:
        """Turn until `count` were answered."""
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.answered) < count:
            assert self._bell.acquire(timeout=max(0.0, end - time.monotonic())), "nobody rang"
            self.turns += 1
            self.answered += self.threads.take_finished()


@contextmanager
def _loop(threads: int) -> Iterator[Loop]:
    loop = Loop(threads)
    before = set(threading.enumerate())
    try:
        yield loop
    finally:
        loop.threads.shutdown()
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def test_every_connection_is_worked_on_once_and_its_end_is_told() -> None:
    done: Counter[int] = Counter()
    lock = threading.Lock()

    def job(number: int, seconds: float) -> int:
        time.sleep(seconds)
        with lock:
            done[number] += 1
        return number

    dice = random.Random(18)
    with _loop(4) as loop:
        for number in range(2_000):
            seconds = dice.choice((0.0, 0.0, 0.0002, 0.001))
            loop.threads.put(lambda number=number, seconds=seconds: job(number, seconds))
            if dice.random() < 0.1:
                loop.turn_until(number - 20)
        loop.turn_until(2_000)
    assert done == Counter(range(2_000))
    assert sorted(int(str(outcome.result())) for _, outcome in loop.answered) == list(range(2_000))


def test_what_is_raised_is_kept_for_the_loop() -> None:
    def fail() -> None:
        raise SystemExit("from a thread")

    with _loop(1) as loop:
        loop.threads.put(fail)
        loop.turn_until(1)
        loop.threads.put(lambda: "goes on")
        loop.turn_until(2)
    (_, failed), (_, fine) = loop.answered
    assert isinstance(failed.exception(), SystemExit)
    with pytest.raises(SystemExit, match="from a thread"):
        failed.result()
    assert fine.exception() is None
    assert fine.result() == "goes on"
    assert not fine.cancelled()


def test_while_all_are_busy_the_loop_is_left_alone() -> None:
    held = threading.Event()
    begun = threading.Semaphore(0)

    def wait() -> bool:
        begun.release()
        return held.wait(PATIENCE_SECONDS)

    with _loop(1) as loop:
        loop.threads.put(wait)
        begun.acquire()
        for _ in range(50):
            loop.threads.put(lambda: True)
        held.set()
        loop.turn_until(51)
    assert loop.turns == 1, "it was woken for each"


def _hears_of_a_short_one_before_a_long_one(loop: Loop, answer: bool) -> None:
    """Let a thread take a long request straight after a short one."""
    held, begun = threading.Event(), threading.Event()
    loop.threads.put(lambda: begun.wait(PATIENCE_SECONDS) and answer)
    loop.threads.put(lambda: held.wait(3 * PATIENCE_SECONDS))
    begun.set()
    try:
        loop.turn_until(1)
    finally:
        held.set()
    loop.turn_until(2)


def test_the_loop_is_told_when_another_thread_is_free() -> None:
    # Who sent the short one may have sent the next already.
    with _loop(1) as loop:
        loop.threads._idle.add(-1)  # a sibling with nothing to do, which loses every race
        _hears_of_a_short_one_before_a_long_one(loop, answer=True)


def test_the_loop_is_told_at_once_of_a_connection_to_be_closed() -> None:
    with _loop(1) as loop:
        _hears_of_a_short_one_before_a_long_one(loop, answer=False)


def test_threads_that_never_worked_end_too() -> None:
    with _loop(3) as loop:
        loop.threads.shutdown()
        loop.threads.shutdown()
    assert loop.answered == []
