"""One reader for all listeners of a process, and queues that cannot grow without end."""

import os
import socket
import threading
import time
from collections.abc import Callable

import pytest

from api import client_socket
from api.client_socket import ClientSocket
from core.clock import utc_now
from models.engine import db
from services.actors import Actor
from services.event_reader import QUEUE_LENGTH, EventReader, StoredEvent, Subscription
from services.events import Signal, SignalKind, Wish, listen
from tests.factories import OPERATOR, make_site
from tests.people import People

PATIENCE_SECONDS = 20


def events(number: int) -> list[StoredEvent]:
    return [
        StoredEvent(id=count, at=utc_now(), topic="a.b", site_id=None, user_id=None, payload={})
        for count in range(1, number + 1)
    ]


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "event-reader"]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def operator() -> Actor:
    return OPERATOR


def test_a_queue_is_bounded_and_a_listener_too_slow_is_told(inside: People) -> None:
    subscription = Subscription(0)

    subscription.offer(events(QUEUE_LENGTH))
    assert len(subscription.take(wait_seconds=0)) == QUEUE_LENGTH
    subscription.offer(events(QUEUE_LENGTH))
    subscription.offer(events(1))

    assert subscription.has_overflowed
    assert subscription.take(wait_seconds=0) == []
    subscription.offer(events(1))
    assert subscription.take(wait_seconds=0) == []


def test_one_thread_reads_for_all_listeners_and_ends_with_the_last(inside: People) -> None:
    reader = EventReader()
    subscriptions = [reader.subscribe(engine=db.engine, redis_url=None) for _ in range(5)]
    assert len(reader_threads()) == 1

    make_site("web")

    taken = [item.take(wait_seconds=PATIENCE_SECONDS) for item in subscriptions]
    assert [[event.topic for event in part] for part in taken] == [["site.created"]] * 5
    for subscription in subscriptions:
        reader.unsubscribe(subscription)
    wait_until(lambda: not reader_threads())


def test_a_listener_that_overflowed_is_sent_away_with_its_cursor(inside: People) -> None:
    reader = EventReader()
    signals = listen(reader=reader, identify=operator, wish=Wish(), interruption=lambda: None)
    assert next(signals).kind is SignalKind.READY
    make_site("web")
    heard = next(signals)
    for subscription in list(reader._subscriptions):
        subscription.overflow()

    rest = list(signals)

    assert heard.event is not None
    assert rest == [Signal(kind=SignalKind.OVERFLOW, cursor=heard.cursor)]
    wait_until(lambda: not reader_threads())


def test_a_child_process_reads_for_itself(inside: People) -> None:
    reader = EventReader()
    subscription = reader.subscribe(engine=db.engine, redis_url=None)
    make_site("web")
    subscription.take(wait_seconds=PATIENCE_SECONDS)
    db.session.remove()
    db.engine.dispose()
    reader.unsubscribe(subscription)
    wait_until(lambda: not reader_threads())

    child = os.fork()
    if child == 0:
        os._exit(0 if reader.subscribe(engine=db.engine, redis_url=None).start > 0 else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_client_that_does_not_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "SEND_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = ClientSocket({"gunicorn.socket": ours})
        assert client.is_ready()

        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            while ours.send(b"x" * 65536):
                pass

        assert not client.is_ready()
        assert not client.is_gone()


def test_a_client_that_went_away_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        client = ClientSocket({"gunicorn.socket": ours})
        assert not client.is_gone()

        theirs.close()

        assert client.is_gone()
        assert not client.is_ready()
