"""Idempotency-Key: one effect, one answer, however often a call is repeated."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from core.clock import utc_now
from models.engine import db
from models.idempotency import IdempotencyKey, IdempotencyState
from models.users import User
from services import idempotency
from services.transaction import transaction
from tests.api.platform.applications import Server, sign_in
from tests.api.platform.conftest import Caller

THINGS = "/api/v1/probe/things"
UPLOADS = "/api/v1/probe/uploads"


def make(caller: Caller, key: str, name: str = "idem", query: str = "") -> TestResponse:
    return caller.client.post(
        f"{THINGS}{query}",
        headers={**caller.headers, "Idempotency-Key": key},
        json={"name": name, "size": 1},
    )


def total(caller: Caller) -> int:
    answer = caller.client.get(THINGS, headers=caller.headers)
    return int(answer.get_json()["meta"]["total"])


def test_a_repetition_gets_the_first_answer(caller: Caller) -> None:
    first = make(caller, "repeat")
    before = total(caller)

    second = make(caller, "repeat")

    assert second.status_code == first.status_code == 201
    assert second.get_data() == first.get_data()
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert total(caller) == before


def test_quotes_and_the_order_of_names_make_no_difference(caller: Caller) -> None:
    first = make(caller, "order")

    second = caller.client.post(
        THINGS,
        headers={**caller.headers, "Idempotency-Key": '"order"'},
        json={"size": 1, "name": "idem"},
    )

    assert second.get_data() == first.get_data()


def test_waiting_is_not_part_of_what_is_asked(caller: Caller) -> None:
    first = make(caller, "wait")

    assert make(caller, "wait", query="?wait=30").get_data() == first.get_data()


@pytest.mark.parametrize(("name", "query"), [("other", ""), ("idem", "?colour=red")])
def test_another_call_with_the_same_key_is_refused(caller: Caller, name: str, query: str) -> None:
    make(caller, f"mismatch{name}")

    answer = make(caller, f"mismatch{name}", name=name, query=query)

    assert answer.status_code == 422
    assert answer.get_json()["code"] == "idempotency_mismatch"


def test_the_key_of_somebody_else_is_another_key(app: Flask, caller: Caller) -> None:
    other = Caller(app.test_client(), sign_in(app, username="bob"))

    answers = [make(caller, "shared"), make(other, "shared")]

    assert answers[0].get_data() != answers[1].get_data()


def test_a_refusal_is_not_kept(caller: Caller) -> None:
    refused = make(caller, "refused", name="")

    assert refused.status_code == 422
    assert make(caller, "refused").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ä", '"', 'a"b'])
def test_an_unusable_key_is_refused(caller: Caller, key: str) -> None:
    answer = make(caller, key)

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "Idempotency-Key"


def test_after_a_day_the_key_is_free(caller: Caller) -> None:
    with time_machine.travel(utc_now() - timedelta(hours=25)):
        leave_answer("day-old")

    assert make(caller, "day-old", name="other").status_code == 201


def leave_answer(key: str) -> None:
    """Leave an answer behind, as a call at the present moment would."""
    call = call_key(key)
    claimed = idempotency.claim(call=call, fingerprint="f" * 64)
    assert isinstance(claimed, idempotency.Claim)
    idempotency.complete(claim=claimed, fingerprint="f" * 64, status=201, headers={}, body=b"{}")


@pytest.fixture(autouse=True)
def _context(app: Flask) -> object:
    with app.app_context():
        yield


def call_key(key: str) -> idempotency.CallKey:
    user_id = db.session.scalar(select(User.id).where(User.username == "ana"))
    return idempotency.CallKey(actor_key=f"user:{user_id}", method="POST", path=THINGS, key=key)


def test_a_call_whose_process_died_is_taken_over_after_its_lease(caller: Caller) -> None:
    idempotency.claim(call=call_key("crashed"), fingerprint=None)

    during = make(caller, "crashed")
    with transaction() as session:
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.key == "crashed")
            .values(lease_until=utc_now())
        )
    after = make(caller, "crashed")

    assert (during.status_code, after.status_code) == (409, 201)
    assert during.get_json()["code"] == "idempotency_in_progress"
    assert int(during.headers["Retry-After"]) >= 1


def test_the_one_who_lost_its_lease_cannot_answer_any_more(caller: Caller) -> None:
    call = call_key("slow")
    first = idempotency.claim(call=call, fingerprint="a" * 64)
    with time_machine.travel(utc_now() + timedelta(minutes=10)):
        second = idempotency.claim(call=call, fingerprint="a" * 64)
    assert isinstance(first, idempotency.Claim)
    assert isinstance(second, idempotency.Claim)

    idempotency.complete(claim=first, fingerprint="a" * 64, status=200, headers={}, body=b"1")
    idempotency.abandon(claim=first)

    state = db.session.scalar(select(IdempotencyKey.state).where(IdempotencyKey.key == "slow"))
    assert state is IdempotencyState.RUNNING


def test_kept_answers_are_unreadable_in_the_database(app: Flask, caller: Caller) -> None:
    make(caller, "sealed", name="canary-4711")

    bodies = db.session.scalars(select(IdempotencyKey.body)).all()
    assert bodies
    assert not any(b"canary-4711" in (body or b"") for body in bodies)


def test_old_answers_are_purged(caller: Caller) -> None:
    with time_machine.travel(utc_now() - timedelta(hours=30)):
        leave_answer("purged")

    idempotency.purge()

    gone = db.session.scalar(select(IdempotencyKey).where(IdempotencyKey.key == "purged"))
    assert gone is None


def test_a_repeated_upload_is_recognised_by_its_content(caller: Caller) -> None:
    def upload(content: bytes, *, form: bool = False) -> TestResponse:
        data = {"file": (io.BytesIO(content), "a.zip")} if form else content
        headers = {**caller.headers, "Idempotency-Key": "upload"}
        return caller.client.post(UPLOADS, headers=headers, data=data)

    first = upload(b"x" * 400_000)
    again = upload(b"x" * 400_000)
    as_form = upload(b"x" * 400_000, form=True)
    other = upload(b"y" * 400_000)

    assert (first.status_code, other.status_code) == (200, 422)
    assert again.get_data() == as_form.get_data() == first.get_data()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_twenty_calls_at_once_have_one_effect(server: Server) -> None:
    def call(_number: int) -> requests.Response:
        return requests.post(
            f"{server.url}{THINGS}",
            headers={**server.headers, "Idempotency-Key": "parallel"},
            json={"name": "parallel"},
            timeout=60,
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))

    made = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(made) + len(waiting) == 20
    assert len({answer.content for answer in made}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in made) == 1
    found = requests.get(
        f"{server.url}{THINGS}?q=parallel", headers=server.headers, timeout=30
    ).json()
    assert found["meta"]["total"] == 1
