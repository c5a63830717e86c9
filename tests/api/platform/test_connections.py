"""Bodies that break off, and connections that end, told truthfully by the real gunicorn."""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.api.platform.applications import Server

THINGS = "/api/v1/probe/things"
UPLOADS = "/api/v1/probe/uploads"
LOGIN = "/api/v1/auth/login"
CHUNKED = "Transfer-Encoding: chunked"
BODY = b'{"name": "cut off by a fault"}'


@dataclass(frozen=True)
class Answer:
    """What came back over a connection of ours until the server closed it."""

    status: int
    headers: dict[str, str]
    document: Any  # whatever JSON came


def send(server: Server, head: list[str], body: bytes = b"") -> Answer:
    """Send a request byte by byte as given, close our side, and read to the end."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "Host: x", "", ""]).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    raw_head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = raw_head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), headers, json.loads(content))


def post(server: Server, path: str, *headers: str, body: bytes) -> Answer:
    credential = f"Authorization: Bearer {server.token}"
    return send(server, [f"POST {path} HTTP/1.1", credential, *headers], body)


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n" + BODY, b"1e\r\n" + BODY + b"\r\n", b"ff\r\n" + BODY, b"1e\r\n" + BODY + b"XX0\r\n"],
    ids=["no size", "no last chunk", "cut chunk", "no line end"],
)
@pytest.mark.parametrize(
    ("path", "media_type", "code"),
    [
        (THINGS, "application/json", "malformed_json"),
        (LOGIN, "application/json", "malformed_json"),
        (UPLOADS, "application/zip", "bad_request"),
    ],
)
def test_broken_chunks_are_the_callers_fault(
    server: Server, path: str, media_type: str, code: str, body: bytes
) -> None:
    logged = len(server.log.read_text())

    answer = post(server, path, CHUNKED, f"Content-Type: {media_type}", body=body)

    assert (answer.status, answer.document["code"]) == (400, code)
    assert "ERROR" not in server.log.read_text()[logged:]


def test_a_cut_json_body_does_nothing(server: Server) -> None:
    content = BODY.replace(b"fault", b"length")

    answer = post(
        server, THINGS, "Content-Type: application/json", "Content-Length: 200", body=content
    )

    assert (answer.status, answer.document["code"]) == (400, "malformed_json")
    items = requests.get(f"{server.url}{THINGS}", headers=server.headers, timeout=30).json()
    assert "cut off by a length" not in [item["name"] for item in items["items"]]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b" " * 2_000_000, 413),
        ({"Content-Type": "application/json", "Authorization": "Bearer x"}, b" " * 200_000, 401),
        ({"Content-Type": "text/plain"}, iter([b" " * 100_000]), 415),
    ],
    ids=["too large", "unknown", "chunked"],
)
def test_a_body_that_is_not_read_ends_the_connection_and_says_so(
    server: Server, headers: dict[str, str], body: Any, status: int
) -> None:
    with requests.Session() as session:
        refused = session.post(
            f"{server.url}{THINGS}", headers={**server.headers, **headers}, data=body, timeout=30
        )
        after = session.get(f"{server.url}{THINGS}", headers=server.headers, timeout=30)

    assert (refused.status_code, refused.headers["Connection"]) == (status, "close")
    assert after.status_code == 200


def test_a_small_rest_of_a_body_does_not_end_the_connection(server: Server) -> None:
    with requests.Session() as session:
        refused = session.post(f"{server.url}{THINGS}", data=b"x" * 1000, timeout=30)
        after = session.get(f"{server.url}{THINGS}", headers=server.headers, timeout=30)

    assert (refused.status_code, refused.headers["Connection"]) == (401, "keep-alive")
    assert after.status_code == 200


def test_each_request_has_its_own_id_whatever_its_address(server: Server) -> None:
    path = "/api/v1/sites/a%00"
    with requests.Session() as session:
        session.get(f"{server.url}{THINGS}", headers={"X-Request-ID": "first-of-all"}, timeout=30)
        missing = session.get(f"{server.url}{path}", timeout=30)
        in_url = session.get(
            f"{server.url}{path}?token=x", headers={"X-Request-ID": "third-of-all"}, timeout=30
        )

    assert missing.status_code == 404
    assert re.fullmatch("[0-9a-f]{32}", missing.headers["X-Request-ID"])
    assert missing.json()["request_id"] == missing.headers["X-Request-ID"]
    assert (in_url.status_code, in_url.json()["code"]) == (400, "token_in_url")
    assert in_url.json()["request_id"] == in_url.headers["X-Request-ID"] == "third-of-all"


@pytest.mark.parametrize("size", [5_000, 9_000, 60_000])
def test_an_overlong_token_is_no_token(server: Server, size: int) -> None:
    headers = {"Authorization": f"Bearer {'a' * size}"}

    answer = requests.get(f"{server.url}{THINGS}", headers=headers, timeout=30)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("X-Long: " + "a" * 70_000, 431),
        ("Content-Length: -1", 400),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip", 400),
        ("Broken header", 400),
    ],
    ids=["header too long", "negative length", "two lengths", "coding", "no header"],
)
def test_what_gunicorn_refuses_is_a_problem_document_too(
    server: Server, line: str, status: int
) -> None:
    answer = send(server, [f"POST {THINGS} HTTP/1.1", line])

    assert (answer.status, answer.document["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.document["code"] == "bad_request"
    assert answer.document["request_id"] == answer.headers["x-request-id"]
    assert answer.document["request_id"] in server.log.read_text()
