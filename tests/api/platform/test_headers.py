"""Headers, origins, limits of calls and log lines."""

import json
import logging
from io import StringIO
from pathlib import Path

import pytest
import requests
from flask import Flask

from api.security import address_group
from core import logs
from core.ids import new_api_token
from tests.api.platform.applications import Server, make_app, running_server, sign_in
from tests.api.platform.conftest import Caller

NUMBER = "/api/v1/probe/numbers/1"
OPEN = "/api/v1/probe/open"
ORIGIN = "https://app.example.org"


@pytest.mark.parametrize("path", [NUMBER, "/api/v1/nothing", "/nothing", "/healthz", "/swagger"])
def test_every_answer_carries_the_security_headers(app: Flask, path: str) -> None:
    headers = app.test_client().get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
    assert headers["X-Request-ID"]


def test_https_is_remembered(tmp_path: Path) -> None:
    client = make_app(tmp_path, PUBLIC_URL="https://relevo.example.org").test_client()

    answer = client.get("/nothing")

    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.get_json()["type"] == "https://relevo.example.org/problems/not_found"


def test_a_request_id_of_the_caller_is_kept(app: Flask) -> None:
    answer = app.test_client().get("/nothing", headers={"X-Request-ID": "run-4711-attempt-2"})

    assert answer.headers["X-Request-ID"] == "run-4711-attempt-2"
    assert answer.get_json()["request_id"] == "run-4711-attempt-2"


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with spaces in it", "<script>alert(1)", "ä" * 9]
)
def test_other_request_ids_are_replaced(app: Flask, given: str) -> None:
    answer = app.test_client().get("/nothing", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] != given
    assert len(answer.headers["X-Request-ID"]) == 32


def test_no_origin_is_allowed_unless_it_was_named(app: Flask, caller: Caller) -> None:
    answer = app.test_client().get(NUMBER, headers={**caller.headers, "Origin": ORIGIN})
    preflight = app.test_client().options(
        NUMBER, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    )

    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]
    assert not [name for name in dict(preflight.headers) if name.startswith("Access-Control")]


@pytest.fixture
def cross(tmp_path: Path) -> Flask:
    return make_app(tmp_path, CORS_ORIGINS=f"{ORIGIN} https://b.example.org")


def test_a_named_origin_may_read_what_it_needs(cross: Flask) -> None:
    headers = cross.test_client().get(OPEN, headers={"Origin": ORIGIN}).headers

    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in headers
    assert "Origin" in headers["Vary"]
    exposed = headers["Access-Control-Expose-Headers"]
    for name in ("ETag", "Link", "Location", "Retry-After", "X-Request-ID", "Idempotency-Replayed"):
        assert name in exposed
    assert "X-RateLimit-Remaining" in exposed


def test_answers_differ_by_origin_also_without_one(cross: Flask, app: Flask) -> None:
    without_origin = cross.test_client().get(OPEN).headers["Vary"]
    without_cross = app.test_client().get(OPEN).headers["Vary"]

    assert {"Accept", "Authorization", "Origin"} <= set(without_origin.split(", "))
    assert "Origin" not in without_cross


def test_a_preflight_allows_what_the_api_takes(cross: Flask) -> None:
    headers = (
        cross.test_client()
        .options(
            NUMBER,
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization, if-match, idempotency-key",
            },
        )
        .headers
    )

    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in headers["Access-Control-Allow-Methods"]
    assert "if-match" in headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.org",
        "null",
        f"{ORIGIN}.evil.org",
        "https://appxexample.org",
        "http://app.example.org",
        f"{ORIGIN}:8443",
    ],
)
def test_other_origins_are_not_allowed(cross: Flask, origin: str) -> None:
    headers = cross.test_client().get(OPEN, headers={"Origin": origin}).headers

    assert "Access-Control-Allow-Origin" not in headers


def test_errors_can_be_read_across_origins_too(cross: Flask) -> None:
    answer = cross.test_client().get(NUMBER, headers={"Origin": ORIGIN})

    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_pages_outside_the_api_have_no_cross_origin(cross: Flask) -> None:
    headers = cross.test_client().get("/openapi.json", headers={"Origin": ORIGIN}).headers

    assert "Access-Control-Allow-Origin" not in headers


def test_calls_beyond_the_limit_are_refused_for_this_caller_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path, API_RATE_LIMIT="3/minute")
    first, second = (Caller(app.test_client(), sign_in(app, username=n)) for n in ("ana", "bob"))

    answers = [first.client.get(NUMBER, headers=first.headers) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].headers["X-RateLimit-Limit"] == "3"
    assert second.client.get(NUMBER, headers=second.headers).status_code == 200


def test_a_new_access_token_does_not_bring_a_new_limit(tmp_path: Path) -> None:
    app = make_app(tmp_path, API_RATE_LIMIT="3/minute")

    statuses = [
        app.test_client().get(NUMBER, headers={"Authorization": f"Bearer {sign_in(app)}"})
        for _ in range(4)
    ]

    assert [answer.status_code for answer in statuses] == [200, 200, 200, 429]


def test_invented_tokens_do_not_avoid_the_limit(tmp_path: Path) -> None:
    app = make_app(tmp_path, API_RATE_LIMIT="5/minute")
    caller = Caller(app.test_client(), sign_in(app))

    statuses = [
        app.test_client().get(NUMBER, headers={"Authorization": f"Bearer {token}"}).status_code
        for token in [new_api_token() for _ in range(4)] + ["x", "a.b.c"]
    ]

    assert statuses == [401] * 5 + [429]
    assert caller.client.get(NUMBER, headers=caller.headers).status_code == 200


def test_anonymous_calls_count_for_their_address(tmp_path: Path) -> None:
    client = make_app(tmp_path, API_RATE_LIMIT="2/minute").test_client()

    def get(address: str) -> int:
        return client.get(OPEN, environ_base={"REMOTE_ADDR": address}).status_code

    assert [get("2001:db8::1"), get("2001:db8::2"), get("2001:db8::3")] == [200, 200, 429]
    assert get("2001:db8:0:1::1") == 200


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("nonsense", "unknown"),
        (None, "unknown"),
    ],
)
def test_addresses_are_grouped_by_who_owns_them(address: str | None, group: str) -> None:
    assert address_group(address) == group


def test_forwarded_addresses_count_for_nothing_by_default(tmp_path: Path) -> None:
    client = make_app(tmp_path, API_RATE_LIMIT="2/minute").test_client()

    statuses = [
        client.get(OPEN, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(3)
    ]

    assert statuses == [200, 200, 429]


def test_the_limit_is_one_for_all_workers(tmp_path: Path) -> None:
    with running_server(tmp_path, API_RATE_LIMIT="20/minute") as server:
        statuses = [
            requests.get(f"{server.url}{NUMBER}", headers=server.headers, timeout=30).status_code
            for _ in range(30)
        ]

    assert statuses == [200] * 20 + [429] * 10


def test_calls_pass_when_they_cannot_be_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(tmp_path)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "limits.db").write_bytes(b"this is not a database" * 1_000)

    answers = [app.test_client().get(OPEN) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert "calls cannot be counted" in caplog.text
    assert answers[2].headers["X-RateLimit-Remaining"] == "99998"


def test_log_lines_are_json_without_credentials(caller: Caller) -> None:
    output = StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(logs.RedactingJsonFormatter("{levelname}{message}", style="{"))
    token = new_api_token()

    logging.getLogger("relevo.test").addHandler(handler)
    logging.getLogger("relevo.test").error("%s\nand %s", token, caller.token, extra={"t": token})

    assert len(output.getvalue().splitlines()) == 1
    assert token not in output.getvalue()
    assert caller.token not in output.getvalue()
    assert json.loads(output.getvalue())["t"] == logs.REDACTED


def test_console_lines_cannot_be_forged() -> None:
    record = logging.makeLogRecord({"msg": "a\nERROR forged\r\x1b[31m", "request_id": "r"})

    line = logs.RedactingFormatter("%(message)s").format(record)

    assert "\n" not in line
    assert "\x1b" not in line


def test_the_request_log_tells_who_did_what(server: Server) -> None:
    secret = new_api_token()
    requests.get(
        f"{server.url}{NUMBER}?q=private",
        headers={**server.headers, "X-Request-ID": "log-line-4711"},
        timeout=30,
    )
    requests.get(f"{server.url}/api/v1/{secret}", timeout=30)

    text = server.log.read_text()
    line = next(json.loads(row) for row in text.splitlines() if "log-line-4711" in row)
    assert line["route"] == "/api/v1/probe/numbers/<int:number>"
    assert (line["status"], line["actor"], line["method"]) == (422, "ana", "GET")
    assert "private" not in text
    assert secret not in text
    assert server.token not in text
