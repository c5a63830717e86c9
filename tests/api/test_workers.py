"""What several worker processes must agree on at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import requests
from sqlalchemy import update

from core.clock import utc_now
from models.sessions import RefreshToken
from services.sessions import REFRESH_GRACE
from services.transaction import transaction
from tests.api.served import Served, serve
from tests.people import OTHER_PASSWORD, PASSWORD

PARALLEL = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("workers")) as running:
        for number in range(8):
            running.people.user(f"u{number}")
        yield running


def _outcomes(call: Callable[[int], requests.Response], times: int) -> Counter[str]:
    with ThreadPoolExecutor(times) as pool:
        answers = list(pool.map(call, range(times)))
    return Counter(
        "ok" if answer.status_code == 200 else str(answer.json()["code"]) for answer in answers
    )


def _refresh(served: Served, token: str, _number: int) -> requests.Response:
    return served.call("POST", "/auth/refresh", {"refresh_token": token})


def _whoami(served: Served, token: str) -> Counter[str]:
    """Ask often enough, on fresh connections, that every worker answers."""
    return _outcomes(lambda _: served.call("GET", "/auth/whoami", token=token), 16)


def test_of_eight_parallel_refreshes_one_wins(served: Served) -> None:
    for _ in range(5):
        token = served.log_in("u0")["refresh_token"]

        outcomes = _outcomes(partial(_refresh, served, token), PARALLEL)

        assert outcomes == {"ok": 1, "refresh_conflict": PARALLEL - 1}


def test_a_refresh_token_used_later_again_ends_the_session_everywhere(served: Served) -> None:
    first = served.log_in("u1")
    old = {"refresh_token": first["refresh_token"]}
    second = served.call("POST", "/auth/refresh", old).json()
    with served.people.app.app_context(), transaction() as session:
        session.execute(update(RefreshToken).values(used_at=utc_now() - 2 * REFRESH_GRACE))

    again = served.call("POST", "/auth/refresh", old)

    assert (again.status_code, again.json()["code"]) == (401, "refresh_reused")
    assert _whoami(served, second["access_token"]) == {"token_revoked": 16}


def test_a_logout_is_seen_by_every_worker_at_once(served: Served) -> None:
    for _ in range(5):
        token = served.log_in("u2")["access_token"]
        assert _whoami(served, token) == {"ok": 16}

        assert served.call("POST", "/auth/logout", {}, token).status_code == 204

        assert _whoami(served, token) == {"token_revoked": 16}


def test_a_new_password_ends_the_other_sessions_at_once(served: Served) -> None:
    here, there = served.log_in("u3")["access_token"], served.log_in("u3")["access_token"]
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}

    assert served.call("PUT", "/auth/password", body, here).status_code == 204

    assert _whoami(served, there) == {"token_revoked": 16}
    assert _whoami(served, here) == {"ok": 16}


def test_a_deactivated_user_is_out_of_every_worker_at_once(served: Served) -> None:
    token = served.log_in("u4")["access_token"]
    api_token = served.people.token("u4", scopes=["requests:read"]).token or ""
    admin = served.log_in("root")["access_token"]

    assert served.call("DELETE", "/users/u4", None, admin).status_code == 204

    assert _whoami(served, token) == {"token_revoked": 16}
    assert _whoami(served, api_token) == {"token_revoked": 16}


def test_a_changed_role_counts_in_every_worker_at_once(served: Served) -> None:
    token = served.log_in("u5")["access_token"]
    admin = served.log_in("root")["access_token"]
    assert served.call("GET", "/audit", token=token).status_code == 403

    changed = served.call("PATCH", "/users/u5", {"role": "auditor"}, admin, If_Match="*")

    assert changed.status_code == 200
    answers = [served.call("GET", "/audit", token=token).status_code for _ in range(16)]
    assert set(answers) == {200}


def test_parallel_guesses_do_not_pass_the_limit_together(served: Served) -> None:
    body = {"username": "u6", "password": "wrong"}

    outcomes = _outcomes(lambda _: served.call("POST", "/auth/login", body), 100)

    assert outcomes["invalid_credentials"] <= 10
    assert set(outcomes) == {"invalid_credentials", "login_throttled"}


def test_forged_addresses_and_spellings_count_for_the_same_account(served: Served) -> None:
    names = ["u7", "U7", " u7", "u7 ", "\uff557"]
    passed = 0
    for number in range(60):
        forged = f"203.0.113.{number}"
        answer = served.call(
            "POST",
            "/auth/login",
            {"username": names[number % len(names)], "password": "wrong"},
            X_Forwarded_For=forged,
            X_Real_IP=forged,
            Forwarded=f"for={forged}",
        )
        passed += answer.status_code == 401

    assert passed <= 10
