"""Pruning and deleting: a few files while the caller waits, many in a job."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.extensions import site_store
from core.settings import Settings
from models.releases import ReleaseState
from services import retention
from tests.factories import make_site, release, send
from tests.people import Caller, People
from tests.working import work_off

EVERYTHING = {"keep": 1, "older_than_days": 0}
MANY = {f"{number}.html": b"x" for number in range(9)}


@pytest.fixture
def town(people: People) -> Iterator[People]:
    """An installation in which deleting more than four files takes long."""
    settings: Settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, inline_prune_files=4)
    with people.app.app_context():
        make_site(main=("one",))
        yield people


@pytest.fixture
def root(town: People) -> Caller:
    return town.caller("root")


def _upload_five(root: Caller) -> None:
    for text in ("two", "three", "four", "five", "six", "seven"):
        send(root, text, to="none")


def test_pruning_few_files_is_done_at_once_however_many_releases(root: Caller) -> None:
    for text in ("two", "three", "four"):
        send(root, text, to="none")

    answer = root.post("/sites/web/prune", EVERYTHING)

    assert (answer.status_code, answer.json["deleted"]) == (200, [3, 2])


def test_pruning_many_files_is_a_job(root: Caller) -> None:
    _upload_five(root)

    first = root.post("/sites/web/prune", EVERYTHING)
    again = root.post("/sites/web/prune", EVERYTHING)
    work_off()

    assert (first.status_code, again.json) == (202, first.json)
    job = root.get(f"/jobs/{first.json['job']}").json
    assert job["state"] == "succeeded"
    assert job["progress"] == {"done": 5, "total": 5, "unit": "releases"}
    assert job["result"] == {"deleted": [6, 5, 4, 3, 2], "kept": [7, 1], "freed_bytes": 19}


def test_pruning_one_large_release_is_a_job(root: Caller) -> None:
    send(root, MANY, to="none")
    send(root, "last", to="none")

    assert root.post("/sites/web/prune", EVERYTHING).status_code == 202


def test_pruning_beside_many_files_that_stay_is_a_job(root: Caller) -> None:
    send(root, "two", to="none")
    send(root, {f"{number}.html": b"x" for number in range(160)}, to="none")

    assert root.post("/sites/web/prune", EVERYTHING).status_code == 202


def test_a_long_trial_is_a_job_that_deletes_nothing(root: Caller) -> None:
    _upload_five(root)

    trial = root.post("/sites/web/prune", {**EVERYTHING, "dry_run": True})
    work_off()

    job = root.get(f"/jobs/{trial.json['job']}").json
    assert (trial.status_code, job["result"]["deleted"]) == (202, [6, 5, 4, 3, 2])
    assert release(2).state is ReleaseState.READY


def test_a_pruning_that_is_cancelled_deletes_nothing_more(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _upload_five(root)
    job_id = root.post("/sites/web/prune", EVERYTHING).json["job"]
    _after_the_first(monkeypatch, lambda: root.post(f"/jobs/{job_id}/cancel"))

    work_off()

    assert root.get(f"/jobs/{job_id}").json["state"] == "cancelled"
    assert [release(number).state.value for number in (6, 5)] == ["archived", "ready"]


def test_a_pruning_of_somebody_who_was_deactivated_deletes_nothing_more(
    town: People, root: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _upload_five(root)
    town.user("ana", "maintainer")
    job_id = town.caller("ana").post("/sites/web/prune", EVERYTHING).json["job"]
    _after_the_first(monkeypatch, lambda: root.delete("/users/ana"))

    work_off()

    assert root.get(f"/jobs/{job_id}").json["error"]["code"] == "token_revoked"
    assert [release(number).state.value for number in (6, 5)] == ["archived", "ready"]


def _after_the_first(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    real = retention._archive
    seen: list[object] = []

    def archive(*arguments: Any, **options: Any) -> int | None:
        if len(seen) == 1:
            meanwhile()
        seen.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(retention, "_archive", archive)


def test_the_files_of_a_large_release_are_deleted_by_a_job(root: Caller) -> None:
    send(root, MANY, to="none")
    digest = release(2).digest

    answer = root.delete("/sites/web/releases/2")

    assert (answer.status_code, release(2).state) == (204, ReleaseState.ARCHIVED)
    for path in ("archive.tar.gz", "files/1.html"):
        shown = root.get(f"/sites/web/releases/2/{path}")
        assert (shown.status_code, shown.json["code"]) == (409, "release_not_ready")
    assert site_store().has_release("web", digest)
    work_off()
    assert not site_store().has_release("web", digest)
    assert root.get("/jobs?kind=releases.delete").json["items"][0]["state"] == "succeeded"


def test_content_that_comes_back_before_its_files_went_stays(root: Caller) -> None:
    send(root, MANY, to="none")
    root.delete("/sites/web/releases/2")

    assert send(root, MANY, to="none").json["number"] == 2
    work_off()

    assert release(2).state is ReleaseState.READY
    assert site_store().has_release("web", release(2).digest)


def test_the_limits_are_told(root: Caller) -> None:
    told = root.get("/limits").json

    assert told["inline_prune_files"] == 4
    assert {"inline_release_files", "inline_release_bytes"} <= set(told)
