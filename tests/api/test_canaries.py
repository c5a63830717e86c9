"""Secrets with known values: none is in the database, the log or an answer."""

from collections.abc import Iterator

import pyotp
import pytest

from models.engine import Base, db
from services.actors import cli_actor
from services.invitations import LinkKind, make_link
from tests.api.served import Served, credentials_in, serve
from tests.people import KEY, PASSWORD, find

CANARY_PASSWORD = "canary tractor 99 lampshade"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("canaries"), LOG_LEVEL="DEBUG") as running:
        running.people.user("ana")
        yield running


@pytest.fixture(scope="module")
def secrets(served: Served) -> dict[str, str]:
    """Use every kind of secret once, rightly and wrongly, and return them all."""
    pair = served.log_in("ana")
    token = pair["access_token"]
    found = {"password": PASSWORD, "new password": CANARY_PASSWORD, **_texts(pair)}
    order = {"name": "canary", "scopes": ["requests:read"]}
    answer = served.call("POST", "/tokens", order, token, Idempotency_Key="canary-1")
    found["API token"] = answer.json()["token"]
    served.call("GET", "/auth/whoami", token=found["API token"])
    rotated = served.call("POST", "/tokens/self/rotate", {}, found["API token"])
    found["rotated token"] = rotated.json()["token"]
    found["TOTP secret"] = served.call("POST", "/auth/totp", {}, token).json()["secret"]
    found["ticket"] = served.call("POST", "/events/ticket", {}, token).json()["ticket"]
    served.call("GET", f"/ws?ticket={found['ticket']}")
    code = {"otp": pyotp.TOTP(found["TOTP secret"]).now()}
    codes = served.call("POST", "/auth/totp/confirm", code, token).json()["recovery_codes"]
    found |= {f"recovery code {number}": code for number, code in enumerate(codes)}
    login = {"username": "ana", "password": PASSWORD}
    served.call("POST", "/auth/login", login | {"otp": codes[0]})
    served.call("POST", "/auth/login", login | {"otp": codes[1] + "x"})
    served.call("POST", "/auth/login", {"username": CANARY_PASSWORD, "password": "wrong"})
    served.call("POST", "/auth/login", {"username": "ana", "password": CANARY_PASSWORD})
    change = {"current_password": PASSWORD, "new_password": CANARY_PASSWORD}
    served.call("PUT", "/auth/password", change, token)
    served.call("PUT", "/auth/password", change | {"unknown": CANARY_PASSWORD}, token)
    served.call("GET", f"/auth/whoami?token={found['API token']}")
    with served.people.app.app_context():
        link = make_link(actor=cli_actor(), user=find("ana"), kind=LinkKind.RESET)
    found["reset link"] = link.url.partition("#token=")[2]
    reset = {"token": found["reset link"], "new_password": CANARY_PASSWORD}
    served.call("POST", "/auth/reset", reset | {"new_password": "canary"})
    served.call("POST", "/auth/reset", reset)
    served.call("POST", "/auth/refresh", {"refresh_token": found["refresh_token"]})
    return {**found, "key": KEY, "signing key": KEY[::-1]}


def test_the_database_holds_no_secret(served: Served, secrets: dict[str, str]) -> None:
    dump = "\n".join(str(value) for value in _values(served, *Base.metadata.tables))
    files = b"".join(path.read_bytes() for path in served.log.parent.glob("relevo.db*"))

    assert "argon2id" in dump
    assert [name for name, value in secrets.items() if value in dump] == []
    assert [name for name, value in secrets.items() if value.encode() in files] == []


def test_the_log_holds_no_secret(served: Served, secrets: dict[str, str]) -> None:
    log = served.log.read_text()

    assert "/api/v1/auth/login" in log
    assert [name for name, value in secrets.items() if value in log] == []
    assert credentials_in(log) == []


def test_nothing_in_the_database_is_a_credential(served: Served, secrets: dict[str, str]) -> None:
    """Send every string of the identity tables as a token."""
    tables = ("api_tokens", "refresh_tokens", "one_time_tokens", "sessions", "recovery_codes")
    values = {
        value
        for value in _values(served, *tables, "event_tickets")
        if isinstance(value, str) and value.isascii() and len(value) >= 8
    }

    for value in values:
        assert served.call("GET", "/auth/whoami", token=value).status_code == 401
        refresh = served.call("POST", "/auth/refresh", {"refresh_token": value})
        assert refresh.status_code in (401, 422)


def test_no_answer_tells_a_stored_secret(served: Served, secrets: dict[str, str]) -> None:
    admin = served.log_in("root")["access_token"]
    paths = ["/users?per_page=100", "/users/ana", "/audit?per_page=100", "/auth/sessions"]

    texts = [served.call("GET", path, token=admin).text for path in [*paths, "/tokens", "/limits"]]

    for text in texts:
        assert [name for name, value in secrets.items() if value in text] == []
        assert "argon2id" not in text


def _texts(pair: dict[str, str]) -> dict[str, str]:
    return {name: pair[name] for name in ("access_token", "refresh_token")}


def _values(served: Served, *tables: str) -> list[object]:
    """Return whatever stands in any row of these tables, as the engine keeps it."""
    with served.people.app.app_context(), db.engine.connect() as connection:
        return [
            value
            for table in tables
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
            for value in row
        ]
