import pytest

from services.job_runs import JobRun
from tests.cli.commands import Relevo
from tests.people import People
from tests.working import ask, make_kind, work_off


@pytest.fixture
def failed(people: People) -> str:
    """The id of a job that was given up."""

    def poison(run: JobRun) -> None:
        run.log("about to fail")
        raise ZeroDivisionError

    with people.app.app_context():
        make_kind(people.app, poison, max_attempts=1)
        job_id = ask().public_id
        work_off()
    return job_id


def test_jobs_are_listed_and_shown_with_their_log(relevo: Relevo, failed: str) -> None:
    listed = relevo.document("jobs", "list", "--state", "failed")
    shown = relevo("jobs", "show", failed)

    assert [job["id"] for job in listed["items"]] == [failed]
    assert "internal_error" in relevo("jobs", "list").stdout
    assert "about to fail" in shown.stdout
    assert relevo("jobs", "list", "--state", "running").stdout == "No jobs.\n"


def test_a_failed_job_is_queued_again_and_cancelled(relevo: Relevo, failed: str) -> None:
    again = relevo.document("jobs", "retry", failed)
    cancelled = relevo("jobs", "cancel", failed)

    assert again["state"] == "queued"
    assert cancelled.stdout == f"Cancelled {failed}.\n"


def test_an_unknown_job_is_a_refusal(relevo: Relevo) -> None:
    assert relevo("jobs", "show", "unknown").exit_code == 1


def test_a_worker_for_an_unknown_queue_is_refused(relevo: Relevo) -> None:
    refused = relevo("worker", "--queues", "releases,post")

    assert refused.exit_code == 2
    assert "default,releases,databases,webhooks" in refused.output
