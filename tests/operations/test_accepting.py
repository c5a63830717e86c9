"""Connections that come at once are shared out between the processes of a server."""

import socket
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

            worker.accept(listener)

    assert waits == [GIVE_WAY_SECONDS] * 2
