"""Connections that come at once are shared out between the processes of a server."""

import socket
from collections import deque
from types import SimpleNamespace

import pytest

from core import gunicorn_patience
from core.gunicorn_patience import (
    GIVE_WAY_SECONDS,
    LOOK_AGAIN_SECONDS,
    MOVING_SECONDS,
    PatientWorker,
)

THREADS, MOST = 4, 1000


def _worker(*, in_hand: int = 0, lying: int = 0) -> PatientWorker:
    worker = PatientWorker.__new__(PatientWorker)
    worker.cfg = SimpleNamespace(threads=THREADS)
    worker.worker_connections = MOST
    worker.keepalived_conns, worker.pending_conns = deque([None] * lying), deque()
    worker._leaving = deque()
    worker.nr_conns = in_hand + lying
    return worker


def test_the_more_a_process_holds_the_longer_it_lets_others_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(gunicorn_patience, "sleep", waits.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for held in (0, 1, THREADS, 3 * THREADS):
            _worker(lying=held).accept(listener)

    assert waits == [GIVE_WAY_SECONDS / THREADS, GIVE_WAY_SECONDS, GIVE_WAY_SECONDS]


@pytest.mark.parametrize(("in_hand", "most"), [(THREADS - 1, MOST), (THREADS, 0), (9, 0)])
def test_a_process_without_a_free_thread_leaves_connections_to_others(
    in_hand: int, most: int
) -> None:
    worker = _worker(in_hand=in_hand, lying=6)
    worker._leaving.append(None)
    worker.nr_conns += 1

    assert worker.worker_connections == most


def test_a_process_whose_threads_get_on_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(gunicorn_patience, "monotonic", lambda: now[0])
    worker = _worker(in_hand=9)
    worker.alive = True
    put: list[object] = []
    worker.tpool = SimpleNamespace(
        take_finished=lambda: [("a connection", "its outcome")], put=put.append
    )
    monkeypatch.setattr(worker, "finish_request", lambda *_: None)
    newest = SimpleNamespace(initialized=False)
    worker.enqueue_req(newest)
    worker.enqueue_req(SimpleNamespace(initialized=True))

    worker.murder_pending()

    assert worker.worker_connections == 0, "who came last still waits"
    newest.arriving = "a thread has it"
    assert worker.worker_connections == MOST
    assert len(put) == 2
    now[0] += MOVING_SECONDS
    assert worker.worker_connections == 0


@pytest.mark.parametrize(
    ("is_alive", "accepts", "seconds"),
    [(True, False, LOOK_AGAIN_SECONDS), (True, True, 1.0), (False, False, 1.0)],
)
def test_who_keeps_newcomers_out_looks_again_soon(
    is_alive: bool, accepts: bool, seconds: float
) -> None:
    waits: list[float] = []

    def select(timeout: float) -> list[object]:
        waits.append(timeout)
        return []

    worker = _worker()
    worker.alive, worker._accepting = is_alive, accepts
    worker.poller = SimpleNamespace(select=select)

    worker.wait_for_and_dispatch_events(timeout=1.0)

    assert waits == [seconds]
