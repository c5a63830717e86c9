import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from core.clockwork import stop_flag
from core.jobs import Queue
from tasks.hands import WEBHOOK_PLACES, lanes_of
from tasks.worker import ALL_QUEUES, Worker
from tests.outgoing.hooks import happen, make_hook
from tests.outgoing.receivers import Receiver, receiving
from tests.people import People
from tests.working import ask, make_kind

PATIENCE_SECONDS = 60.0


@pytest.fixture
def slow_receivers() -> Iterator[list[Receiver]]:
    """Two receivers that answer nobody until they are told to."""
    with ExitStack() as stack:
        found = [stack.enter_context(receiving()) for _ in range(2)]
        for receiver in found:
            receiver.hold = threading.Event()
        yield found


@pytest.fixture
def signals() -> Iterator[None]:
    """Put the signal handlers back that a worker replaces."""
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


def test_slow_receivers_take_no_place_of_other_jobs(
    calling: People, slow_receivers: list[Receiver], signals: None
) -> None:
    done = threading.Event()
    make_kind(calling.app, lambda _run: done.set())
    for receiver in slow_receivers:
        make_hook(receiver.url, "promotion.*")
    for _ in range(WEBHOOK_PLACES):
        happen()
    seen: list[bool] = []

    def watch() -> None:
        with calling.app.app_context():
            for receiver in slow_receivers:
                for _ in range(WEBHOOK_PLACES // len(slow_receivers)):
                    receiver.arrived.acquire(timeout=PATIENCE_SECONDS)
            ask()
            seen.append(done.wait(PATIENCE_SECONDS))
        for receiver in slow_receivers:
            assert receiver.hold is not None
            receiver.hold.set()
        stop_flag(calling.app).set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    Worker(calling.app).run()
    watcher.join()

    assert seen == [True]
    assert [len(receiver.calls) for receiver in slow_receivers] == [2, 2]


def test_a_worker_for_webhooks_alone_has_no_other_places() -> None:
    both = lanes_of(ALL_QUEUES, 2)
    alone = lanes_of([Queue.WEBHOOKS], 2)

    assert [lane.places for lane in both] == [2, WEBHOOK_PLACES]
    assert [lane.queues for lane in alone] == [(Queue.WEBHOOKS,)]
    assert [lane.queues for lane in lanes_of([Queue.RELEASES], 2)] == [(Queue.RELEASES,)]
