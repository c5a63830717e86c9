import threading

import pytest

from models.jobs import Job
from services.actors import Actor
from services.job_runs import JobRun
from tests.people import People
from tests.working import DONE, Effects, ask, claim, make_kind, work_off

FIELDS = {
    "id",
    "kind",
    "queue",
    "state",
    "site",
    "created_by",
    "progress",
    "result",
    "error",
    "log",
    "attempts",
    "max_attempts",
    "cancel_requested",
    "run_at",
    "created_at",
    "started_at",
    "finished_at",
}


@pytest.fixture
def job(people: People) -> Job:
    """A job of ana that waits."""
    with people.app.app_context():
        ana = people.actor("ana", "member")
        Effects(people.app)
        return ask(actor=ana)


def test_a_job_shows_all_there_is_to_know(people: People, job: Job) -> None:
    answer = people.caller("ana").get(f"/jobs/{job.public_id}")

    assert answer.status_code == 200
    assert answer.json.keys() == FIELDS
    assert answer.json["state"] == "queued"
    assert answer.json["created_by"] == "ana"
    assert answer.json["progress"] == {"done": 0, "total": None, "unit": None}


def test_jobs_are_listed_by_state(people: People, job: Job) -> None:
    ana = people.caller("ana")

    assert [found["id"] for found in ana.get("/jobs?state=queued").json["items"]] == [job.public_id]
    assert ana.get("/jobs?state=failed").json["items"] == []
    assert ana.get("/jobs?kind=tests.work&site=web").json["items"] == []


def test_a_job_of_somebody_else_is_not_there(people: People, job: Job) -> None:
    ben = people.caller("ben", "member")

    assert ben.get(f"/jobs/{job.public_id}").status_code == 404
    assert ben.post(f"/jobs/{job.public_id}/cancel").status_code == 404


def test_waiting_for_a_job_answers_with_its_end(people: People, job: Job) -> None:
    worker = threading.Timer(0.1, _work, [people])
    worker.start()

    answer = people.caller("ana").get(f"/jobs/{job.public_id}?wait=30")

    worker.join()
    assert answer.json["state"] == "succeeded"
    assert answer.json["result"] == DONE


def test_waiting_longer_than_the_limit_is_refused(people: People, job: Job) -> None:
    assert people.caller("ana").get(f"/jobs/{job.public_id}?wait=51").status_code == 422


def test_when_too_many_wait_the_answer_comes_at_once(people: People, job: Job) -> None:
    places = people.app.extensions["relevo.waiting"]
    while places.take():
        pass

    answer = people.caller("ana").get(f"/jobs/{job.public_id}?wait=50")

    assert answer.json["state"] == "queued"
    assert places.taken == places.limit
    for _ in range(places.limit):
        places.give_back()  # on servers the application is that of all tests


def test_a_job_that_waits_is_cancelled_at_once(people: People, job: Job) -> None:
    ana = people.caller("ana")

    answer = ana.post(f"/jobs/{job.public_id}/cancel")

    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")


def test_a_job_that_runs_is_asked_to_stop(people: People, job: Job) -> None:
    with people.app.app_context():
        claim()

    answer = people.caller("ana").post(f"/jobs/{job.public_id}/cancel")

    assert (answer.status_code, answer.json["cancel_requested"]) == (202, True)
    assert answer.headers["Location"].endswith(f"/jobs/{job.public_id}")


def test_a_job_that_ended_cannot_be_cancelled(people: People, job: Job) -> None:
    _work(people)

    answer = people.caller("ana").post(f"/jobs/{job.public_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")
    assert answer.json["allowed_actions"] == []


def test_a_failed_job_tells_why_and_what_it_logged(people: People) -> None:
    def work(run: JobRun) -> None:
        run.log("looking")
        run.actor.require("users:write")

    with people.app.app_context():
        ana: Actor = people.actor("ana", "member")
        make_kind(people.app, work)
        job = ask(actor=ana)
    _work(people)

    shown = people.caller("ana").get(f"/jobs/{job.public_id}").json

    assert shown["state"] == "failed"
    assert shown["error"]["code"] == "scope_missing"
    assert shown["error"]["missing"] == ["users:write"]
    assert [line["message"] for line in shown["log"]] == ["looking"]


def _work(people: People) -> None:
    with people.app.app_context():
        work_off()
