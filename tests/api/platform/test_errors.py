"""Everything that goes wrong has one shape, whether tests or gunicorn ask."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt as pyjwt
import pytest
import requests
from flask import Flask

from api.problems import STATUS
from core.errors import ErrorCode
from core.problem_texts import PROBLEM_TEXTS
from tests.api.platform.applications import KEY, Server, sign_in
from tests.api.platform.conftest import Caller
from tests.api.platform.probe import SECRET_TEXT

API = "/api/v1/probe"
THINGS = f"{API}/things"


@dataclass(frozen=True)
class Case:
    """A request that fails and how."""

    status: int
    code: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    signed_in: bool = True


JSON = {"Content-Type": "application/json"}
EXPIRED = pyjwt.encode(
    {
        "sub": "1",
        "sid": "s",
        "jti": "j",
        "typ": "access",
        "ver": 1,
        "iat": 1,
        "nbf": 1,
        "exp": 2,
        "iss": "relevo",
        "aud": "relevo-api",
    },
    KEY,
    headers={"kid": "k1"},
)
BAD, OLD = {"Authorization": "Bearer nonsense"}, {"Authorization": f"Bearer {EXPIRED}"}

CASES = {
    "no token": Case(401, "token_missing", THINGS, signed_in=False),
    "bad token": Case(401, "token_invalid", THINGS, headers=BAD, signed_in=False),
    "expired token": Case(401, "token_expired", THINGS, headers=OLD, signed_in=False),
    "refused body": Case(422, "validation_failed", THINGS, "POST", JSON, b'{"name": ""}'),
    "raised validation error": Case(422, "validation_failed", f"{API}/fail/validation"),
    "broken json": Case(400, "malformed_json", THINGS, "POST", JSON, b"{'a': 1}"),
    "wrong type": Case(
        415, "unsupported_media_type", THINGS, "POST", {"Content-Type": "text/xml"}, b"<a/>"
    ),
    "forbidden": Case(403, "scope_missing", f"{API}/fail/forbidden"),
    "missing thing": Case(404, "not_found", f"{THINGS}/nothing"),
    "wrong method": Case(405, "method_not_allowed", THINGS, "DELETE"),
    "conflict": Case(409, "already_exists", f"{API}/fail/conflict"),
    "database away": Case(503, "unavailable", f"{API}/fail/database"),
    "disk full": Case(507, "insufficient_disk", f"{API}/fail/disk"),
    "bug": Case(500, "internal_error", f"{API}/fail/bug"),
    "unknown address": Case(404, "not_found", "/api/v1/nothing"),
    "address outside": Case(404, "not_found", "/nothing"),
    "trailing slash": Case(404, "not_found", f"{THINGS}/"),
    "doubled slash": Case(404, "not_found", "/api//v1/probe/things"),
    "not acceptable": Case(406, "not_acceptable", THINGS, headers={"Accept": "image/png"}),
    "credential in address": Case(400, "token_in_url", f"{THINGS}?access_token=x"),
    "plain validation error": Case(422, "validation_failed", "/plain/validation"),
    "plain forbidden": Case(403, "scope_missing", "/plain/forbidden"),
    "plain conflict": Case(409, "already_exists", "/plain/conflict"),
    "plain bug": Case(500, "internal_error", "/plain/bug"),
    "plain database away": Case(503, "unavailable", "/plain/database"),
    "plain unavailable": Case(503, "unavailable", "/plain/unavailable"),
}
Ask = Callable[[Case], tuple[int, dict[str, str], bytes]]


@pytest.fixture(params=["production", "testing", "gunicorn"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Send a case to one of three servers that must answer alike."""
    if request.param == "gunicorn":
        server: Server = request.getfixturevalue("server")
        return lambda case: _ask_server(server, case)
    caller: Caller = request.getfixturevalue("caller")
    app: Flask = request.getfixturevalue("app")
    app.testing = request.param == "testing"
    return lambda case: _ask_client(caller, case)


def _ask_client(caller: Caller, case: Case) -> tuple[int, dict[str, str], bytes]:
    headers = {**(caller.headers if case.signed_in else {}), **case.headers}
    answer = caller.client.open(case.path, method=case.method, headers=headers, data=case.body)
    return answer.status_code, dict(answer.headers), answer.get_data()


def _ask_server(server: Server, case: Case) -> tuple[int, dict[str, str], bytes]:
    headers = {**(server.headers if case.signed_in else {}), **case.headers}
    answer = requests.request(
        case.method, f"{server.url}{case.path}", headers=headers, data=case.body, timeout=30
    )
    return answer.status_code, dict(answer.headers), answer.content


@pytest.mark.parametrize("name", CASES)
def test_every_error_is_a_problem_document(ask: Ask, name: str) -> None:
    case = CASES[name]

    status, headers, body = ask(case)

    document: dict[str, Any] = json.loads(body)
    assert (status, document["code"]) == (case.status, case.code)
    assert headers["Content-Type"] == "application/problem+json"
    assert document["type"].endswith(f"/problems/{case.code}")
    assert document["status"] == case.status
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == headers["X-Request-ID"]
    assert SECRET_TEXT.encode() not in body
    assert "X-Content-Type-Options" in headers


@pytest.mark.parametrize(
    ("name", "header", "start"),
    [
        ("no token", "WWW-Authenticate", "Bearer"),
        ("bad token", "WWW-Authenticate", 'Bearer realm="relevo", error="invalid_token"'),
        ("wrong method", "Allow", "GET"),
        ("database away", "Retry-After", "2"),
        ("plain unavailable", "Retry-After", "7"),
    ],
)
def test_errors_keep_the_headers_that_belong_to_them(
    ask: Ask, name: str, header: str, start: str
) -> None:
    _, headers, _ = ask(CASES[name])

    assert sorted(headers[header].split(", "))[0].startswith(start) or headers[header].startswith(
        start
    )


def test_a_refused_body_names_every_fault_and_echoes_nothing(caller: Caller) -> None:
    body = {"name": "", "password": "s3cret!", "size": "many", "extra": "s3cret!"}

    answer = caller.client.post(THINGS, headers=caller.headers, json=body)

    found = {(error["pointer"], error["code"]) for error in answer.get_json()["errors"]}
    assert found == {
        ("/name", "invalid"),
        ("/password", "invalid"),
        ("/size", "invalid_type"),
        ("/extra", "unknown_field"),
    }
    assert "s3cret!" not in answer.get_data(as_text=True)


def test_nested_faults_are_json_pointers(caller: Caller) -> None:
    answer = caller.client.post(
        THINGS, headers=caller.headers, json={"name": "a", "tags": ["x", 1]}
    )

    assert answer.get_json()["errors"][0]["pointer"] == "/tags/1"


def test_body_and_query_faults_come_together(caller: Caller) -> None:
    answer = caller.client.post(f"{THINGS}?color=red", headers=caller.headers, json={})

    pointers = [error["pointer"] for error in answer.get_json()["errors"]]
    assert pointers == ["?color", "/name"]


def test_members_of_a_refusal_are_told(caller: Caller) -> None:
    answer = caller.client.get(f"{API}/fail/conflict")

    assert answer.get_json()["allowed_actions"] == ["retry"]


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_status_and_a_page(app: Flask, code: ErrorCode) -> None:
    answer = app.test_client().get(f"/problems/{code}")

    assert code in STATUS
    assert answer.status_code == 200
    assert PROBLEM_TEXTS[code].title in answer.get_data(as_text=True)


def test_a_scope_that_can_never_be_held_is_refused_by_name(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {sign_in(app, username='gast', role='member')}"}

    answer = app.test_client().delete(f"{THINGS}/nothing/audit", headers=headers)

    assert answer.status_code == 403
    assert answer.get_json()["required"] == ["audit:read"]
    assert answer.get_json()["missing"] == ["audit:read"]
