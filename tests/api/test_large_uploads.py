"""Uploads that take long: 202, a job, and then the same release as a small one would give."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Timer
from typing import Any

import pytest

from core.extensions import site_store
from core.settings import Settings
from models.jobs import Job
from models.promotions import Promotion
from models.releases import Submission
from services import job_runs, jobs, uploads
from services.actors import cli_actor
from tests.archives.zip_maker import simple_zip
from tests.factories import (
    audit_actions,
    count,
    live,
    make_site,
    page,
    release,
    send,
    served,
    staged,
    upload,
)
from tests.people import Answer, Caller, People
from tests.working import claim, take_back, work_off

LARGE = {**page("large"), **{f"p/{number}.html": b"x" for number in range(4)}}
OTHER = {**LARGE, "index.html": b"other"}


@pytest.fixture
def town(people: People) -> Iterator[People]:
    """An installation in which more than three files are a large upload."""
    settings: Settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, inline_release_files=3)
    with people.app.app_context():
        make_site()
        yield people


@pytest.fixture
def root(town: People) -> Caller:
    return town.caller("root")


def work_soon(town: People) -> Timer:
    """Let a worker come by in a moment."""

    def work() -> None:
        with town.app.app_context():
            while work_off() == 0:
                time.sleep(0.01)

    timer = Timer(0.05, work)
    timer.start()
    return timer


def test_a_large_upload_is_answered_at_once_and_finished_by_its_job(
    town: People, root: Caller
) -> None:
    answer = send(root, LARGE, message="hello", commit="abc")

    assert answer.status_code == 202
    assert answer.headers["Location"].endswith("/api/v1/sites/web/releases/1")
    assert (answer.json["state"], answer.json["digest"]) == ("processing", None)
    waiting = root.get(f"/jobs/{answer.json['job']}").json
    assert (waiting["state"], waiting["kind"], waiting["site"]) == (
        "queued",
        "releases.process",
        "web",
    )
    work_off()
    done = root.get(f"/jobs/{answer.json['job']}").json
    assert done["state"] == "succeeded"
    assert done["result"]["published"] == [{"environment": "test", "promotion": 1}]
    shown = root.get("/sites/web/releases/1").json
    assert (shown["state"], shown["file_count"], shown["commit"]) == ("ready", 5, "abc")
    assert served("test") == "large"
    assert site_store().kept_uploads(older_than_seconds=-1) == []
    assert staged() == []


def test_a_small_upload_is_answered_with_the_release(root: Caller) -> None:
    assert send(root).status_code == 201


def test_a_large_upload_that_is_ready_in_time_is_answered_like_a_small_one(
    town: People, root: Caller
) -> None:
    timer = work_soon(town)

    answer = send(root, LARGE, wait=30)

    timer.join()
    assert answer.status_code == 201
    assert (answer.json["state"], answer.json["file_count"]) == ("ready", 5)
    assert answer.json["published"] == {"environment": "test", "promotion": 1}


def test_a_refused_archive_is_refused_in_time_like_a_small_one(town: People, root: Caller) -> None:
    timer = work_soon(town)

    answer = send(root, {**LARGE, ".env": b"SECRET=1"}, wait=30)

    timer.join()
    assert (answer.status_code, answer.json["code"]) == (422, "secret_file")
    assert answer.json["paths"] == [".env"]
    assert answer.json["release"] == 1
    assert root.get("/sites/web/releases/1").json["state"] == "failed"
    assert live("test") is None


def test_a_refused_archive_fails_the_job_and_the_release(root: Caller) -> None:
    job_id = send(root, {**LARGE, ".env": b"SECRET=1"}).json["job"]

    work_off()

    job = root.get(f"/jobs/{job_id}").json
    shown = root.get("/sites/web/releases/1?wait=5").json
    assert (job["state"], job["error"]["code"]) == ("failed", "secret_file")
    assert (shown["state"], shown["job"], shown["digest"]) == ("failed", job_id, None)
    assert root.delete("/sites/web/releases/1").status_code == 204


def test_equal_content_makes_the_number_another_name_of_the_older_release(
    town: People, root: Caller
) -> None:
    upload(LARGE)

    provisional = send(root, LARGE, commit="again").json
    work_off()

    assert provisional["number"] == 2
    alias = root.get("/sites/web/releases/2").json
    assert (alias["state"], alias["same_as"]) == ("archived", 1)
    assert root.get("/sites/web/releases/1").json["submissions"] == 2
    assert root.get(f"/jobs/{provisional['job']}").json["result"]["release"] == 1
    promoted = root.post("/sites/web/promotions", {"to": "main", "release": 2})
    assert (promoted.status_code, promoted.json["release"]) == (201, 1)
    assert root.get("/sites/web/releases/2/manifest").json["file_count"] == 5


def test_equal_content_that_is_known_in_time_answers_200_with_the_older_release(
    town: People, root: Caller
) -> None:
    upload(LARGE)
    timer = work_soon(town)

    answer = send(root, LARGE, wait=30)

    timer.join()
    assert (answer.status_code, answer.json["number"]) == (200, 1)


def test_an_upload_to_main_promotes_what_it_brought(root: Caller) -> None:
    job_id = send(root, LARGE, to="main").json["job"]

    work_off()

    assert root.get(f"/jobs/{job_id}").json["result"]["promotion"] == 1
    assert live("main") == 1


def test_a_refused_promotion_fails_the_job_but_keeps_the_release(root: Caller) -> None:
    root.put("/sites/web/environments/main/lock", {"reason": "Freeze"})
    job_id = send(root, LARGE, to="main").json["job"]

    work_off()

    job = root.get(f"/jobs/{job_id}").json
    assert (job["state"], job["error"]["code"]) == ("failed", "environment_locked")
    assert "kept as release 1" in job["error"]["detail"]
    assert release(1).state.value == "ready"


def test_promoting_a_release_that_is_being_unpacked_is_refused_with_its_job(root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]

    answer = root.post("/sites/web/promotions", {"to": "main", "release": 1})

    assert (answer.status_code, answer.json["code"]) == (409, "release_not_ready")
    assert answer.json["job"] == job_id


def test_promoting_waits_for_the_release(town: People, root: Caller) -> None:
    send(root, LARGE)
    timer = work_soon(town)

    answer = root.post("/sites/web/promotions?wait=30", {"to": "main", "release": 1})

    timer.join()
    assert answer.status_code == 201
    assert live("main") == 1


@pytest.mark.parametrize("path", ["manifest", "archive.tar.gz", "files/index.html"])
def test_a_release_without_files_gives_none(root: Caller, path: str) -> None:
    send(root, LARGE)

    answer = root.get(f"/sites/web/releases/1/{path}")

    assert (answer.status_code, answer.json["code"]) == (409, "release_not_ready")


def test_a_cancelled_upload_leaves_nothing(root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]

    root.post(f"/jobs/{job_id}/cancel")
    work_off()

    assert release(1).state.value == "failed"
    assert live("test") is None


def test_an_upload_of_somebody_who_lost_the_right_is_refused(town: People, root: Caller) -> None:
    town.user("ana")
    town.members("web", ana="deployer")
    job_id = send(town.caller("ana"), LARGE).json["job"]
    root.delete("/sites/web/members/ana")

    work_off()

    assert root.get(f"/jobs/{job_id}").json["error"]["code"] == "not_found"
    assert release(1).state.value == "failed"


def test_a_worker_that_dies_at_any_step_publishes_once(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt dies one step later than the one before."""
    send(root, LARGE)
    for step in ("_unpack", "_publish"):
        _die_after(monkeypatch, step)
        with pytest.raises(KeyboardInterrupt):
            _attempt()
        take_back("mortal")
        monkeypatch.undo()

    work_off()

    assert release(1).state.value == "ready"
    assert (count(Submission), count(Promotion)) == (1, 1)
    assert audit_actions().count("release.created") == 1


def _die_after(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    real = getattr(uploads, step)

    def die(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(uploads, step, die)


def _attempt() -> None:
    job_runs.carry_out(claim=claim("mortal"))


def test_a_failed_job_can_be_tried_again(town: People, root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]
    root.post(f"/jobs/{job_id}/cancel")

    jobs.retry(actor=cli_actor(), public_id=job_id)
    work_off()

    assert release(1).state.value == "ready"
    assert served("test") == "large"


def test_an_archive_that_is_gone_fails_clearly(town: People, root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]
    for name in site_store().kept_uploads(older_than_seconds=-1):
        site_store().drop_upload(name)

    work_off()

    error = root.get(f"/jobs/{job_id}").json["error"]
    assert error["code"] == "release_not_ready"
    assert "upload it again" in error["detail"]


def test_archives_of_active_jobs_are_not_swept(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "KEEP_FAILED_SECONDS", -1)
    job_id = send(root, LARGE).json["job"]

    assert uploads.sweep() == 0
    root.post(f"/jobs/{job_id}/cancel")
    assert uploads.sweep() == 1


def test_a_repeated_large_upload_is_answered_from_the_first(root: Caller) -> None:
    first = _send_once(root)
    again = _send_once(root)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json["number"] == first.json["number"]
    assert count(Job) == 1


def _send_once(root: Caller) -> Answer:
    return root.client.post(  # type: ignore[return-value]  # the client gives this class
        "/api/v1/sites/web/releases",
        data=_archive(),
        headers={"Authorization": f"Bearer {root.credential}", "Idempotency-Key": "run-1"},
    )


def _archive() -> bytes:
    return simple_zip(LARGE)


def test_nobody_waits_for_a_client_that_has_gone(root: Caller) -> None:
    job_id = send(root, LARGE).json["job"]

    def seconds(connection: socket.socket, wait: int) -> float:
        started = time.monotonic()
        answer = root.client.get(
            f"/api/v1/jobs/{job_id}?wait={wait}",
            headers={"Authorization": f"Bearer {root.credential}"},
            environ_overrides={"gunicorn.socket": connection},
        )
        assert '"state":"queued"' in answer.text
        return time.monotonic() - started

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert seconds(ours, 1) >= 1
        theirs.close()
        assert seconds(ours, 30) < 10
