"""JSON is read strictly, in bounds, and refused without reading more than needed."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from api.json_bodies import MAX_DEPTH
from tests.api.platform.applications import Server
from tests.api.platform.conftest import Caller

THINGS = "/api/v1/probe/things"
QUIET = "/api/v1/probe/quiet"
JSON = {"Content-Type": "application/json"}


def post(caller: Caller, body: bytes, **headers: str) -> tuple[int, str, str]:
    answer = caller.client.post(THINGS, headers={**caller.headers, **JSON, **headers}, data=body)
    document = answer.get_json()
    codes = [error["code"] for error in document.get("errors", [])]
    return answer.status_code, document["code"], codes[0] if codes else ""


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name": "a", "name": "b"}', 422, "duplicate_name"),
        (b'{"name": "a", "size": 9007199254740993}', 422, "number_range"),
        (b'{"name": "a", "size": 1' + b"0" * 5000 + b"}", 422, "number_range"),
        (b'{"name": "a", "size": 1e400}', 422, "number_range"),
        (b'{"name": "a", "size": NaN}', 422, "number_range"),
        (b'{"name": "a", "size": -Infinity}', 422, "number_range"),
        (b'{"name": "\\ud800"}', 422, "invalid_text"),
        (b'{"name": "a\\u0000b"}', 422, "invalid_text"),
        (b'{"na\\u0000me": "a"}', 422, "invalid_text"),
        (b"null", 422, "invalid_type"),
        (b"[]", 422, "invalid_type"),
        (b'"text"', 422, "invalid_type"),
        (b'{"name": true}', 422, "invalid_type"),
        (b'{"name": "a", "size": true}', 422, "invalid_type"),
        (b'{"name": "a", "size": 1.5}', 422, "invalid_type"),
        (b'{"name": "a", "size": "1"}', 422, "invalid_type"),
        (b'{"name": "a", "urgent": 1}', 422, "invalid_type"),
        (b'{"name": "a", "urgent": "yes"}', 422, "invalid_type"),
        (b'{"name": "a", "parts": [{"count": "1"}]}', 422, "invalid_type"),
        (b'{"name": null}', 422, "null"),
        (b"{}", 422, "required"),
        (b"", 422, "required"),
    ],
)
def test_what_json_allows_and_databases_do_not_is_refused(
    caller: Caller, body: bytes, status: int, code: str
) -> None:
    assert post(caller, body) == (status, "validation_failed", code)


@pytest.mark.parametrize(
    "body", [b"{", b"{'name': 1}", b'{"name": "a",}', b"\xff\xfe{}", b'{"name": "\xe9"}', b"01"]
)
def test_broken_json_is_malformed(caller: Caller, body: bytes) -> None:
    assert post(caller, body)[:2] == (400, "malformed_json")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 2_000, 100_000])
def test_depth_is_bounded(caller: Caller, depth: int) -> None:
    body = b'{"name": "a", "more": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

    assert post(caller, body) == (422, "validation_failed", "too_deep")


def test_the_greatest_depth_is_accepted(caller: Caller) -> None:
    inner: object = 1
    for _ in range(MAX_DEPTH - 1):
        inner = {"a": inner}

    answer = caller.client.post(THINGS, headers=caller.headers, json={"name": "a", "more": inner})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data"],
)
def test_other_media_types_are_refused(caller: Caller, content_type: str) -> None:
    status, code, _ = post(caller, b'{"name": "a"}', **{"Content-Type": content_type})

    assert (status, code) == (415, "unsupported_media_type")


def test_the_media_type_is_judged_before_the_size(caller: Caller) -> None:
    status, code, _ = post(caller, b"x" * 2_000_000, **{"Content-Type": "text/plain"})

    assert (status, code) == (415, "unsupported_media_type")


def test_a_large_body_names_limit_and_setting(caller: Caller) -> None:
    answer = caller.client.post(THINGS, headers={**caller.headers, **JSON}, data=b" " * 1_048_577)

    document = answer.get_json()
    assert answer.status_code == 413
    assert (document["limit"], document["actual"]) == (1_048_576, 1_048_577)
    assert document["setting"] == "MAX_JSON_BYTES"


def test_a_chunked_body_is_bounded_too(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 50_000

    answer = requests.post(
        f"{server.url}{THINGS}", headers={**server.headers, **JSON}, data=chunks(), timeout=30
    )

    assert answer.status_code == 413
    assert answer.json()["actual"] is None


def test_a_chunked_body_is_read(server: Server) -> None:
    body = iter([b'{"name":', b' "chunked"}'])

    answer = requests.post(
        f"{server.url}{THINGS}", headers={**server.headers, **JSON}, data=body, timeout=30
    )

    assert answer.status_code == 201


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_action_needs_no_body(caller: Caller, body: bytes) -> None:
    headers = {**caller.headers, **(JSON if body else {})}

    assert caller.client.post(QUIET, headers=headers, data=body).status_code == 204


def test_an_action_without_fields_refuses_any(caller: Caller) -> None:
    answer = caller.client.post(QUIET, headers=caller.headers, json={"force": True})

    assert answer.get_json()["errors"][0]["code"] == "unknown_field"


@pytest.mark.parametrize(
    "number", ["0x1", "-1", "2147483648", "9" * 30, "9" * 5000, "1.0", "\u0661"]
)
def test_numbers_beyond_the_range_are_not_found(caller: Caller, number: str) -> None:
    answer = caller.client.get(f"/api/v1/probe/numbers/{number}", headers=caller.headers)

    assert answer.status_code == 404


def test_nul_in_an_address_is_not_found(caller: Caller) -> None:
    assert caller.client.get(f"{THINGS}/a%00b", headers=caller.headers).status_code == 404


def test_an_upload_arrives_whole_as_body_and_as_form(caller: Caller) -> None:
    content = bytes(range(256)) * 1_500

    raw = caller.client.post("/api/v1/probe/uploads", headers=caller.headers, data=content)
    form = caller.client.post(
        "/api/v1/probe/uploads",
        headers=caller.headers,
        data={"file": (io.BytesIO(content), "site.zip")},
    )

    assert raw.get_json()["size"] == form.get_json()["size"] == len(content)
    assert raw.get_json()["sha256"] == form.get_json()["sha256"]
    assert form.get_json()["filename"] == "site.zip"


def test_an_upload_may_not_be_json_or_text(caller: Caller) -> None:
    as_json = caller.client.post("/api/v1/probe/uploads", headers=caller.headers, json={})
    no_file = caller.client.post(
        "/api/v1/probe/uploads",
        headers=caller.headers,
        data={"file": "text"},
        content_type="multipart/form-data",
    )

    statuses = [answer.status_code for answer in (as_json, no_file)]
    assert statuses == [415, 422]


def test_a_cut_upload_is_refused(server: Server) -> None:
    with upload_connection(server, announced=1000) as connection:
        connection.sendall(b"short")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)

    assert b" 400 " in answer


def test_a_large_upload_is_refused_before_it_is_read(server: Server) -> None:
    with upload_connection(server, announced=9_999_999_999_999) as connection:
        answer = connection.recv(100)

    assert b" 413 " in answer


@contextmanager
def upload_connection(server: Server, *, announced: int) -> Iterator[socket.socket]:
    """Send the head of an upload and leave the rest to the test."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = (
        f"POST /api/v1/probe/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        yield connection
