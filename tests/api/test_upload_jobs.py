"""What happens while the job of a large upload runs: a cancel, lost rights, a late copy."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from models.engine import db
from models.promotions import Promotion
from models.requests import ChangeRequest
from models.sites import Site
from models.tokens import ApiToken
from services import job_runs, request_gate, switching
from services.job_runs import JobRun
from services.promotion_rows import Outcome
from tests.api.test_large_uploads import LARGE
from tests.api.test_large_uploads import root as root
from tests.api.test_large_uploads import town as town
from tests.factories import count, live, release, send
from tests.people import Caller, People
from tests.working import claim, take_back, work_off

UNPACKING = "Unpacking"
PUBLISHING = "is ready; publishing"
LOST = ("ana was deactivated", "ana is no member any more", "ana only reads now")
Parking = Callable[[str, Callable[[], object]], None]


@pytest.fixture
def parking(monkeypatch: pytest.MonkeyPatch) -> Parking:
    """Let something happen, once, while a job stands at a line of its log."""

    def park(line: str, meanwhile: Callable[[], object]) -> None:
        real = JobRun.log
        done: list[str] = []

        def log(run: JobRun, message: str) -> None:
            real(run, message)
            if line in message and not done:
                done.append(message)
                meanwhile()

        monkeypatch.setattr(JobRun, "log", log)

    return park


@pytest.fixture
def ana(town: People) -> Caller:
    town.user("ana")
    town.members("web", ana="deployer")
    return town.caller("ana")


def _job(root: Caller, job_id: str) -> Any:
    return root.get(f"/jobs/{job_id}").json


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize(
    ("line", "to", "state"),
    [(UNPACKING, "test", "failed"), (PUBLISHING, "test", "ready"), (PUBLISHING, "main", "ready")],
)
def test_rights_that_are_lost_meanwhile_stop_what_has_not_begun(
    town: People,
    root: Caller,
    ana: Caller,
    parking: Parking,
    lost: str,
    line: str,
    to: str,
    state: str,
) -> None:
    def lose() -> None:
        if lost == LOST[0]:
            root.delete("/users/ana")
        elif lost == LOST[1]:
            root.delete("/sites/web/members/ana")
        else:
            root.put("/sites/web/members/ana", {"role": "reader"})

    parking(line, lose)
    job_id = send(ana, LARGE, to=to).json["job"]

    work_off()

    job = _job(root, job_id)
    codes = dict(zip(LOST, ("token_revoked", "not_found", "scope_missing"), strict=True))
    assert (job["state"], job["error"]["code"]) == ("failed", codes[lost])
    assert ("kept as release 1" in job["error"]["detail"]) is (state == "ready")
    assert release(1).state.value == state
    assert (live(to), count(Promotion)) == (None, 0)


def test_a_token_revoked_meanwhile_publishes_nothing(
    town: People, root: Caller, ana: Caller, parking: Parking
) -> None:
    order = {"name": "ci", "scopes": ["sites:read", "releases:write", "jobs:read"]}
    made = ana.post("/tokens", order).json
    parking(PUBLISHING, lambda: ana.delete(f"/tokens/{made['id']}"))
    job_id = send(Caller(town.app.test_client(), made["token"]), LARGE).json["job"]

    work_off()

    job = _job(root, job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "token_revoked")
    assert (job["error"]["release"], release(1).state.value) == (1, "ready")
    assert (live("test"), count(Promotion)) == (None, 0)
    assert db.session.scalar(select(ApiToken.revoked_at)) is not None


@pytest.mark.parametrize("to", ["test", "main"])
def test_a_job_that_is_cancelled_before_it_publishes_does_not(
    town: People, root: Caller, parking: Parking, to: str
) -> None:
    job_id = send(root, LARGE, to=to).json["job"]
    parking(PUBLISHING, lambda: root.post(f"/jobs/{job_id}/cancel"))

    work_off()

    assert _job(root, job_id)["state"] == "cancelled"
    assert release(1).state.value == "ready"
    assert (live(to), count(Promotion)) == (None, 0)


@pytest.mark.parametrize("to", ["test", "main"])
def test_a_cancel_after_publishing_began_comes_too_late(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    job_id, real = send(root, LARGE, to=to).json["job"], switching.carry_out

    def carry_out(**arguments: Any) -> Outcome | None:
        assert root.post(f"/jobs/{job_id}/cancel").status_code == 202
        return real(**arguments)

    monkeypatch.setattr(switching, "carry_out", carry_out)
    work_off()

    job = _job(root, job_id)
    assert (job["state"], job["cancel_requested"]) == ("succeeded", True)
    assert live(to) == job["result"]["release"] == 1


def test_a_cancel_after_all_was_done_comes_too_late(
    town: People, root: Caller, parking: Parking
) -> None:
    job_id = send(root, LARGE, to="none").json["job"]
    parking(PUBLISHING, lambda: root.post(f"/jobs/{job_id}/cancel"))

    work_off()

    assert (_job(root, job_id)["state"], release(1).state.value) == ("succeeded", "ready")


def test_who_is_deactivated_after_publishing_began_has_published(
    town: People, root: Caller, ana: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, real = send(ana, LARGE, to="main").json["job"], switching.carry_out

    def carry_out(**arguments: Any) -> Outcome | None:
        assert root.delete("/users/ana").status_code == 204
        return real(**arguments)

    monkeypatch.setattr(switching, "carry_out", carry_out)
    work_off()

    assert (_job(root, job_id)["state"], live("main")) == ("succeeded", 1)


def test_a_target_deleted_meanwhile_is_named(town: People, root: Caller, parking: Parking) -> None:
    assert root.post("/sites/web/environments", {"name": "stage", "rank": 15}).status_code == 201
    parking(UNPACKING, lambda: root.delete("/sites/web/environments/stage"))
    job_id = send(root, LARGE, to="stage").json["job"]

    work_off()

    error = _job(root, job_id)["error"]
    assert error["code"] == "validation_failed"
    assert [(each["pointer"], each["code"]) for each in error["errors"]] == [
        ("?to", "unknown_environment")
    ]


def test_a_worker_that_slept_before_publishing_publishes_nothing(
    town: People, root: Caller, parking: Parking
) -> None:
    job_id = send(root, LARGE).json["job"]
    parking(PUBLISHING, lambda: (take_back("sleeper"), root.post(f"/jobs/{job_id}/cancel")))

    job_runs.carry_out(claim=claim("sleeper"))

    assert _job(root, job_id)["state"] == "cancelled"
    assert (live("test"), count(Promotion)) == (None, 0)


def test_a_worker_that_slept_before_it_asked_for_approval_asks_nobody(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"type": "promotion", "site": "web", "environment": "main", "required_approvals": 1}
    assert root.post("/approval-policies", policy).status_code == 201
    town.user("rita")
    town.members("web", rita="reviewer")
    job_id, real = send(root, LARGE, to="main").json["job"], request_gate._refuse_drift

    def refuse_drift(site: Site, environment: str) -> None:
        real(site, environment)
        take_back("sleeper")
        assert root.post(f"/jobs/{job_id}/cancel").status_code == 200

    monkeypatch.setattr(request_gate, "_refuse_drift", refuse_drift)

    job_runs.carry_out(claim=claim("sleeper"))

    assert _job(root, job_id)["state"] == "cancelled"
    assert (count(ChangeRequest), count(Promotion)) == (0, 0)


def test_of_a_worker_that_slept_and_its_successor_one_publishes(
    town: People, root: Caller, parking: Parking
) -> None:
    job_id = send(root, LARGE).json["job"]
    parking(PUBLISHING, lambda: (take_back("sleeper"), work_off()))

    job_runs.carry_out(claim=claim("sleeper"))

    assert _job(root, job_id)["state"] == "succeeded"
    assert (live("test"), count(Promotion)) == (1, 1)


@pytest.mark.parametrize("line", [UNPACKING, PUBLISHING])
def test_a_site_deleted_meanwhile_ends_its_job_quietly(
    town: People,
    root: Caller,
    parking: Parking,
    caplog: pytest.LogCaptureFixture,
    line: str,
) -> None:
    parking(line, lambda: root.delete("/sites/web?confirm=web"))
    job_id = send(root, LARGE, to="test").json["job"]

    with caplog.at_level(logging.INFO, logger="relevo.jobs"):
        work_off()

    assert root.get(f"/jobs/{job_id}").status_code == 404
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_progress_of_a_job_that_succeeded_is_complete(root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]

    work_off()

    assert _job(root, job_id)["progress"] == {"done": 5, "total": 5, "unit": "files"}
