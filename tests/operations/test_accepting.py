"""Connections that come at once are shared out between the processes of a server."""

import socket
from collections import deque
from types import SimpleNamespace

import pytest

from core import gunicorn_patience
from core.gunicorn_patience import GIVE_WAY_SECONDS, PatientWorker

THREADS = 4


def test_a_process_whose_threads_are_taken_lets_others_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(gunicorn_patience, "sleep", waits.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for connections in (0, THREADS - 1, THREADS, 3 * THREADS):
            worker = PatientWorker.__new__(PatientWorker)
            worker.cfg = SimpleNamespace(threads=THREADS)
            worker.nr_conns = connections
            worker.keepalived_conns, worker.pending_conns = deque([None] * connections), deque()
            worker._leaving = deque()

            worker.accept(listener)

    assert waits == [GIVE_WAY_SECONDS] * 2


@pytest.mark.parametrize(("in_hand", "most"), [(THREADS - 1, 1000), (THREADS, 0), (9, 0)])
def test_a_process_without_a_free_thread_leaves_connections_to_others(
    in_hand: int, most: int
) -> None:
    worker = PatientWorker.__new__(PatientWorker)
    worker.cfg = SimpleNamespace(threads=THREADS)
    worker.worker_connections = 1000
    worker.keepalived_conns, worker.pending_conns = deque([None] * 5), deque([None])
    worker._leaving = deque([None])
    worker.nr_conns = in_hand + 7

    assert worker.worker_connections == most
