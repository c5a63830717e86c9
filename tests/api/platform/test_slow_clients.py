"""Clients that are slow, silent or gone hold up nobody else."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import requests

from core.extensions import site_store
from tests.api.served import Served, serve
from tests.people import PASSWORD

SILENT = 40
"""Five for each of the eight threads."""
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PATIENCE_SECONDS = 2
AT_A_TIME = 20
CROWD = 30


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("slow")
    with serve(folder, CLIENT_SECONDS=str(PATIENCE_SECONDS)) as running:
        running.people.site("web", root="owner")
        with running.people.app.app_context():
            site_store().prepare()
        yield running


def connect(served: Served, *, receive_bytes: int | None = None) -> socket.socket:
    host, _, port = served.url.removeprefix("http://").partition(":")
    connection = socket.socket()
    connection.settimeout(30)
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((host, int(port)))
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """Return all that comes; what was sent and not read makes the end a reset."""
    with suppress(ConnectionResetError):
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half a head"),
        pytest.param(LOGIN + b"Content-Length: 60\r\n\r\n{", id="a byte of a body"),
        pytest.param(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n", id="no chunk"),
    ],
)
def test_silent_connections_hold_up_nobody(served: Served, beginning: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(SILENT):
            stack.enter_context(connect(served)).sendall(beginning)
        time.sleep(0.2)

        answers = [requests.get(f"{served.url}/healthz", timeout=5) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}


def _slow_upload(served: Served) -> bytes:
    """Return how an upload begins that is never finished."""
    token = served.log_in("root")["access_token"]
    head = (
        "POST /api/v1/sites/web/releases?to=none HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/zip\r\n"
        "Content-Length: 10000000\r\n\r\n"
    )
    return head.encode() + bytes(2000)


@pytest.mark.parametrize("_burst", range(3))
def test_a_slow_upload_in_a_crowd_holds_up_one_of_them_at_most(served: Served, _burst: int) -> None:
    upload, quick = _slow_upload(served), HEAD + b"Connection: close\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(6):  # three for each process: one thread is left
            stack.enter_context(connect(served)).sendall(upload)
            time.sleep(0.02)
        crowd = [stack.enter_context(connect(served)) for _ in range(CROWD)]
        for number, connection in enumerate(crowd):
            connection.sendall(upload if number == CROWD // 3 else quick)
        del crowd[CROWD // 3]
        until = time.monotonic() + PATIENCE_SECONDS / 2
        waiting = 0
        for connection in crowd:
            connection.settimeout(max(0.01, until - time.monotonic()))
            try:
                assert answer_of(connection).startswith(b"HTTP/1.1 200")
            except TimeoutError:
                waiting += 1

    assert waiting <= 1


@pytest.mark.parametrize("uploads", [4, 5, 6])
def test_slow_uploads_hold_up_nobody_while_a_thread_is_free(served: Served, uploads: int) -> None:
    upload = _slow_upload(served)
    with ExitStack() as stack:
        for _ in range(uploads):
            stack.enter_context(connect(served)).sendall(upload)
        time.sleep(0.3)

        answers = [requests.get(f"{served.url}/healthz", timeout=5) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 8
    assert max(answer.elapsed.total_seconds() for answer in answers) < PATIENCE_SECONDS / 2


def test_clients_that_ask_without_a_pause_keep_out_nobody(served: Served) -> None:
    over = threading.Event()

    def ask_on() -> None:
        with connect(served) as connection, suppress(OSError):
            while not over.is_set():
                connection.sendall((HEAD + b"\r\n") * AT_A_TIME)
                received = b""
                while received.count(b"HTTP/1.1 200 OK") < AT_A_TIME:
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data

    threads = [threading.Thread(target=ask_on) for _ in range(SILENT)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join, 30)
        stack.callback(over.set)
        time.sleep(0.5)

        answers = [requests.get(f"{served.url}/healthz", timeout=5) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}


def test_connections_that_nobody_ends_hold_up_nobody(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(SILENT):
            connection = stack.enter_context(connect(served))
            connection.sendall(HEAD + b"Connection: close\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"

        assert requests.get(f"{served.url}/healthz", timeout=5).status_code == 200


@pytest.mark.parametrize("beginning", [HEAD, LOGIN + b"Content-Length: 60\r\n\r\n{"])
def test_a_client_that_falls_silent_is_let_go(served: Served, beginning: bytes) -> None:
    with connect(served) as connection:
        connection.sendall(beginning)

        assert answer_of(connection) == b""


def test_a_head_that_comes_byte_by_byte_is_answered(served: Served) -> None:
    with connect(served) as connection:
        for byte in HEAD + b"Connection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.005)

        assert answer_of(connection).startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_late_is_read(served: Served) -> None:
    body = json.dumps({"username": "root", "password": PASSWORD}).encode()
    with connect(served) as connection:
        head = LOGIN + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        for part in (head[:30], head[30:], body[:5], body[5:]):
            connection.sendall(part)
            time.sleep(0.1)

        assert answer_of(connection).startswith(b"HTTP/1.1 200")


def test_several_requests_in_one_go_are_all_answered(served: Served) -> None:
    with connect(served) as connection:
        connection.sendall((HEAD + b"\r\n") * 3 + HEAD + b"Connection: close\r\n\r\n")

        assert answer_of(connection).count(b"HTTP/1.1 200") == 4


def test_a_connection_serves_one_request_after_the_other(served: Served) -> None:
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{served.url}/healthz", timeout=5).status_code == 200
            body = {"username": "root", "password": PASSWORD}
            login = f"{served.url}/api/v1/auth/login"
            assert session.post(login, json=body, timeout=5).status_code == 200


def test_a_long_body_that_stops_is_a_broken_one(served: Served) -> None:
    with connect(served) as connection:
        connection.sendall(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")

        assert b"400 BAD REQUEST" in answer_of(connection).upper()


def test_an_answer_that_nobody_takes_is_given_up(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            host, _, port = served.url.removeprefix("http://").partition(":")
            connection.connect((host, int(port)))
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        time.sleep(0.5)

        # In vain for as long as the clients stay, if nobody gave their answers up.
        assert requests.get(f"{served.url}/healthz", timeout=25).status_code == 200
    errors = [line for line in served.log.read_text().splitlines() if '"level":"ERROR"' in line]
    assert errors == []


@pytest.mark.parametrize("path", ["/healthz", "/docs-assets/swagger-ui-bundle.js", "/openapi.json"])
def test_clients_that_ask_on_without_taking_their_answers_hold_up_nobody(
    served: Served, path: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as stack:
        greedy = [stack.enter_context(connect(served, receive_bytes=2048)) for _ in range(10)]
        end = time.monotonic() + 1.5 * PATIENCE_SECONDS
        while time.monotonic() < end:
            for connection in greedy:
                with suppress(OSError):
                    connection.send(50 * request, socket.MSG_DONTWAIT)
            time.sleep(0.02)

        answers = [requests.get(f"{served.url}/healthz", timeout=5) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 8
