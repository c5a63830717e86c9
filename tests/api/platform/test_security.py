"""Credentials: only whole, own, living ones count, and only in the header."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from core.clock import utc_now
from core.ids import new_api_token
from models.engine import db
from models.sessions import UserSession
from services.transaction import transaction
from tests.api.platform.applications import KEY, sign_in
from tests.api.platform.conftest import Caller

OPEN = "/api/v1/probe/open"
NUMBER = "/api/v1/probe/numbers/1"
Claims = dict[str, Any]  # Any: claims of every type, wrong ones included


def ask(app: Flask, token: str) -> tuple[int, str | None]:
    answer = app.test_client().get(NUMBER, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, (answer.get_json() or {}).get("code")


def claims_of(token: str) -> Claims:
    found: Claims = pyjwt.decode(token, options={"verify_signature": False})
    return found


def sign(claims: Claims, *, key: str = KEY, kid: object = "k1", algorithm: str = "HS256") -> str:
    return pyjwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def test_a_token_of_an_older_key_still_counts(app: Flask, caller: Caller) -> None:
    assert ask(app, sign(claims_of(caller.token)))[0] == 200


@pytest.mark.parametrize(
    "claim", ["exp", "iat", "nbf", "jti", "sub", "sid", "iss", "aud", "typ", "ver"]
)
def test_every_claim_is_needed(app: Flask, caller: Caller, claim: str) -> None:
    claims = claims_of(caller.token)
    del claims[claim]

    assert ask(app, sign(claims)) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "somebody"),
        ("aud", "another-api"),
        ("aud", ["relevo-api"]),
        ("aud", ["relevo-api", "another"]),
        ("typ", "refresh"),
        ("sub", "0"),
        ("sub", "-1"),
        ("sub", "9" * 30),
        ("sub", "ana"),
        ("sub", 1),
        ("sid", 7),
        ("sid", "unknown"),
        ("ver", "1"),
        ("exp", "tomorrow"),
        ("exp", [1]),
        ("nbf", 99_999_999_999),
        ("iat", 99_999_999_999),
    ],
)
def test_wrong_claims_are_refused(app: Flask, caller: Caller, claim: str, value: object) -> None:
    token = (
        sign({**claims_of(caller.token), claim: value})
        if claim != "sub"
        else _with_sub(claims_of(caller.token), value)
    )

    assert ask(app, token) == (401, "token_invalid")


def _with_sub(claims: Claims, value: object) -> str:
    """Sign a subject that PyJWT itself would not write."""
    payload = json.dumps({**claims, "sub": value}).encode()
    return pyjwt.api_jws.encode(payload, KEY, algorithm="HS256", headers={"kid": "k1"})


@pytest.mark.parametrize("kid", ["unknown", "", "../k1", "k1' OR 1=1", 7, None, ["k1"]])
def test_unknown_keys_are_refused(app: Flask, caller: Caller, kid: object) -> None:
    header = _encode({"alg": "HS256", "typ": "JWT", "kid": kid})
    payload = caller.token.split(".")[1]
    signing = pyjwt.get_algorithm_by_name("HS256")
    signature = signing.sign(f"{header}.{payload}".encode(), signing.prepare_key(KEY))
    token = f"{header}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    assert ask(app, token) == (401, "token_invalid")


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS512", "RS256"])
def test_other_algorithms_are_refused(app: Flask, caller: Caller, algorithm: str) -> None:
    header = _encode({"alg": algorithm, "typ": "JWT", "kid": "k1"})
    _, payload, signature = caller.token.split(".")

    assert ask(app, f"{header}.{payload}.")[0] == 401
    assert ask(app, f"{header}.{payload}.{signature}") == (401, "token_invalid")


def _encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_an_unknown_critical_header_is_refused(app: Flask, caller: Caller) -> None:
    token = pyjwt.encode(
        claims_of(caller.token), KEY, headers={"kid": "k1", "crit": ["magic"], "magic": 1}
    )

    assert ask(app, token) == (401, "token_invalid")


def test_every_flipped_character_is_noticed(app: Flask, caller: Caller) -> None:
    token = caller.token

    for position in range(len(token)):
        for replacement in ("A", "B", "-", "!"):
            if token[position] != replacement:
                altered = f"{token[:position]}{replacement}{token[position + 1 :]}"
                assert ask(app, altered) == (401, "token_invalid"), position


def test_idle_bits_of_the_signature_must_be_zero(app: Flask, caller: Caller) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(caller.token[-1])

    for bits in (1, 2, 3):
        assert ask(app, caller.token[:-1] + alphabet[place + bits])[0] == 401


@pytest.mark.parametrize("size", [4_097, 7_000])
def test_overlong_tokens_are_refused(app: Flask, caller: Caller, size: int) -> None:
    token = sign({**claims_of(caller.token), "padding": "x" * size})

    assert ask(app, token) == (401, "token_invalid")


def test_a_deep_header_is_refused(app: Flask, caller: Caller) -> None:
    header = base64.urlsafe_b64encode(b"[" * 2_900).decode().rstrip("=")

    assert ask(app, f"{header}.{'.'.join(caller.token.split('.')[1:])}")[0] == 401


def test_an_expired_token_says_so(app: Flask, caller: Caller) -> None:
    with time_machine.travel(utc_now() + timedelta(minutes=16)):
        assert ask(app, caller.token) == (401, "token_expired")


def test_a_session_that_ended_is_refused_at_once(app: Flask) -> None:
    token = sign_in(app)
    with app.app_context(), transaction():
        db.session.execute(
            update(UserSession)
            .where(UserSession.public_id == claims_of(token)["sid"])
            .values(revoked_at=utc_now())
        )

    assert ask(app, token) == (401, "token_revoked")


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic YTpi", "bearer", "Token x", "Bearer a b", "rlv_x", "x" * 8000],
)
def test_other_headers_are_refused(app: Flask, value: str) -> None:
    answer = app.test_client().get(NUMBER, headers={"Authorization": value})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("make", [new_api_token, lambda: "rlv_short", lambda: "rlv_" + "a" * 42])
def test_unknown_api_tokens_are_refused(app: Flask, make: Callable[[], str]) -> None:
    assert ask(app, make()) == (401, "token_invalid")


def test_the_scheme_is_read_without_regard_to_case(app: Flask, caller: Caller) -> None:
    answer = app.test_client().get(NUMBER, headers={"Authorization": f"bEARER {caller.token}"})

    assert answer.status_code == 200


def test_cookies_and_forms_never_authenticate(app: Flask, caller: Caller) -> None:
    client = app.test_client()
    for name in ("access_token_cookie", "access_token", "session"):
        client.set_cookie(name, caller.token)

    assert client.get(NUMBER).status_code == 401
    assert client.post("/api/v1/probe/quiet", data={"token": caller.token}).status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "jwt"])
@pytest.mark.parametrize("path", [NUMBER, "/api/v1/nothing"])
def test_credentials_in_addresses_are_refused_before_all_else(
    app: Flask, caller: Caller, path: str, name: str
) -> None:
    answer = app.test_client().get(f"{path}?{name}=x", headers=caller.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "token_in_url")


def test_optional_authentication_takes_a_bad_token_for_none(app: Flask, caller: Caller) -> None:
    client = app.test_client()

    named = client.post(OPEN, headers=caller.headers).get_json()
    unnamed = client.post(OPEN, headers={"Authorization": "Bearer x"}).get_json()

    assert (named["filename"], unnamed["filename"]) == ("ana", None)


def test_open_operations_do_not_look_at_the_credential(app: Flask) -> None:
    answer = app.test_client().get(OPEN, headers={"Authorization": "Bearer x"})

    assert answer.status_code == 200


def test_options_asks_nobody_who_they_are(app: Flask) -> None:
    answer = app.test_client().options(NUMBER)

    assert answer.status_code == 200
    assert "GET" in answer.headers["Allow"]
