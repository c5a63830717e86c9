"""Attacks on credentials against the real server, because frameworks answer otherwise there."""

from collections.abc import Iterator

import pytest
import requests

from tests.api.served import Served, credentials_in, serve
from tests.api.token_attacks import bit_flips, flips, forgeries
from tests.people import PASSWORD

TARGET = "/auth/whoami"
REFUSALS = {"token_invalid", "token_expired", "token_revoked"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("attacked"), LOG_LEVEL="INFO") as running:
        running.people.user("ana")
        yield running


@pytest.fixture(scope="module")
def pair(served: Served) -> dict[str, str]:
    return served.log_in("ana")


def _refused(answer: requests.Response) -> bool:
    return (
        answer.status_code == 401
        and answer.headers["Content-Type"] == "application/problem+json"
        and answer.headers["WWW-Authenticate"].startswith("Bearer")
        and answer.json()["code"] in REFUSALS
    )


def test_the_token_that_is_forged_below_is_valid(served: Served, pair: dict[str, str]) -> None:
    assert served.call("GET", TARGET, token=pair["access_token"]).status_code == 200


def test_every_forgery_is_refused(served: Served, pair: dict[str, str]) -> None:
    attacks = forgeries(pair["access_token"])

    accepted = [
        name
        for name, token in attacks.items()
        if not _refused(served.call("GET", TARGET, token=token))
    ]

    assert len(attacks) >= 70
    assert accepted == []


def test_one_altered_byte_anywhere_spoils_an_access_token(
    served: Served, pair: dict[str, str]
) -> None:
    token = pair["access_token"]
    altered = [*flips(token), *bit_flips(token)]

    with requests.Session() as session:
        accepted = [
            position for position, forged in altered if not _is_refused(session, served, forged)
        ]

    assert {position for position, _ in altered} == set(range(len(token)))
    assert accepted == []


def test_one_altered_byte_anywhere_spoils_an_api_token(served: Served) -> None:
    token = served.people.token("ana", scopes=["requests:read"]).token or ""
    assert served.call("GET", TARGET, token=token).status_code == 200
    altered = [*flips(token), *bit_flips(token)]

    with requests.Session() as session:
        accepted = [
            position for position, forged in altered if not _is_refused(session, served, forged)
        ]

    assert accepted == []


@pytest.mark.parametrize("size", [8_000, 64_000, 1_000_000])
def test_an_enormous_token_is_refused_and_never_an_error(served: Served, size: int) -> None:
    try:
        status = served.call("GET", TARGET, token="a" * size).status_code
    except requests.ConnectionError:
        status = 431  # the server closed the connection while we were still sending

    assert status in (400, 401, 431)


def test_no_token_takes_the_place_of_another(served: Served, pair: dict[str, str]) -> None:
    api_token = served.people.token("ana", scopes=["requests:read"]).token or ""

    as_access = served.call("GET", TARGET, token=pair["refresh_token"])
    as_refresh = [
        served.call("POST", "/auth/refresh", {"refresh_token": token})
        for token in (pair["access_token"], api_token)
    ]

    assert _refused(as_access)
    for answer in as_refresh:
        assert (answer.status_code in (401, 422), answer.json()["code"]) in [
            (True, "refresh_invalid"),
            (True, "validation_failed"),
        ]


def test_a_credential_counts_only_in_its_header(served: Served, pair: dict[str, str]) -> None:
    token, url = pair["access_token"], f"{served.url}/api/v1{TARGET}"

    for name in ("token", "access_token", "jwt"):
        answer = requests.get(url, params={name: token}, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (400, "token_in_url")
    for cookies in ({"access_token_cookie": token}, {"session": token}):
        assert requests.get(url, cookies=cookies, timeout=10).status_code == 401
    for header in ("X-Authorization", "X-Access-Token", "Proxy-Authorization"):
        headers = {header: f"Bearer {token}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic cm9vdDpyb290", "Token {}", "{}", "Bearer {} {}", "JWT {}"],
)
def test_another_scheme_is_no_credential(served: Served, pair: dict[str, str], value: str) -> None:
    sent = value.replace("{}", pair["access_token"])

    answer = served.call("GET", TARGET, Authorization=sent)

    assert answer.status_code == 401


def test_a_body_or_form_is_no_place_for_a_credential(served: Served, pair: dict[str, str]) -> None:
    answer = requests.post(
        f"{served.url}/api/v1/tokens",
        data={"access_token": pair["access_token"]},
        timeout=10,
    )

    assert answer.status_code == 401


def test_the_log_holds_no_credential(served: Served, pair: dict[str, str]) -> None:
    served.call("POST", "/auth/login", {"username": "ana", "password": PASSWORD})
    log = served.log.read_text()

    assert "request_id" in log
    assert credentials_in(log) == []
    assert PASSWORD not in log
    assert pair["refresh_token"] not in log


def _is_refused(session: requests.Session, served: Served, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}".encode()}
    answer = session.get(f"{served.url}/api/v1{TARGET}", headers=headers, timeout=10)
    return _refused(answer)
