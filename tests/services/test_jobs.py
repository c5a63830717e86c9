import threading
from datetime import timedelta

import pytest
from flask import Flask

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, UnavailableError
from core.jobs import JobKind, register
from models.jobs import JobState
from services import job_claims, job_runs, job_views, jobs
from services.actors import cli_actor
from services.job_runs import JobRun
from services.transaction import transaction
from tests.factories import refused
from tests.people import People
from tests.threads import together
from tests.working import (
    DONE,
    Effects,
    ask,
    look,
    make_kind,
    work_off,
)
from tests.working import effects as effects


def test_a_job_is_done_once_and_keeps_its_result(effects: Effects) -> None:
    job = ask()

    attempts = work_off()

    assert attempts == 1
    assert effects.count == 1
    done = look(job)
    assert (done.state, done.result, done.attempts) == (JobState.SUCCEEDED, DONE, 1)
    assert done.finished_at is not None


def test_a_job_asked_for_in_a_unit_of_work_that_fails_is_not_there(effects: Effects) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        ask()
        1 / 0  # noqa: B018 - what fails here could be anything

    assert work_off() == 0


def test_an_unknown_kind_is_refused_where_it_is_asked_for(inside: People) -> None:
    with pytest.raises(LookupError):
        ask("tests.nothing")


def test_two_kinds_with_one_name_are_refused(inside: People) -> None:
    make_kind(inside.app, lambda _: None, "tests.twice")

    with pytest.raises(ValueError, match=r"tests\.twice"):
        register(inside.app, JobKind(name="tests.twice", run=lambda _: None))


def test_a_job_for_later_waits_until_then(effects: Effects) -> None:
    job = ask(run_at=utc_now() + timedelta(hours=1))

    assert work_off() == 0
    assert job_claims.claim_named(owner="one", public_id=job.public_id) is None


def test_of_jobs_with_one_key_one_is_active(effects: Effects) -> None:
    first = ask(key="web")

    again = ask(key="web")

    assert again.id == first.id
    work_off()
    assert ask(key="web").id != first.id


def test_of_many_who_ask_with_one_key_at_once_all_get_the_same_job(inside: People) -> None:
    make_kind(inside.app, lambda _: None)

    asked = together(inside.app, *[lambda: ask(key="web").public_id] * 6)

    assert len(set(asked)) == 1, asked


def test_a_poison_job_is_tried_again_then_given_up_and_can_be_retried(inside: People) -> None:
    gave_up: list[int] = []

    def poison(run: JobRun) -> None:
        raise ZeroDivisionError

    make_kind(inside.app, poison, max_attempts=3, gave_up=lambda job: gave_up.append(job.attempts))
    job = ask(key="poison")

    assert work_off() == 3
    ended = look(job)
    assert (ended.state, ended.error_code) == (JobState.FAILED, ErrorCode.INTERNAL_ERROR)
    assert ended.key is None
    assert gave_up == [3]

    jobs.retry(actor=cli_actor(), public_id=job.public_id)
    assert work_off() == 3


def test_the_pause_before_the_next_attempt_grows(inside: People) -> None:
    def poison(run: JobRun) -> None:
        raise ZeroDivisionError

    make_kind(inside.app, poison, pause_seconds=lambda attempt: 100.0 * attempt)
    job = ask()

    work_off()

    waiting = look(job)
    assert waiting.state is JobState.QUEUED
    assert waiting.run_at > utc_now() + timedelta(seconds=90)
    assert waiting.error_code == ErrorCode.INTERNAL_ERROR


def test_a_refusal_ends_a_job_at_once_with_its_code_and_members(inside: People) -> None:
    def refuse(run: JobRun) -> None:
        raise ConflictError("No.", code=ErrorCode.OLDER_RELEASE, members={"release": 7})

    make_kind(inside.app, refuse)
    job = ask()

    assert work_off() == 1

    (view,) = job_views.describe(jobs=[look(job)])
    assert view.state == "failed"
    assert view.error == {"code": "older_release", "detail": "No.", "release": 7}


def test_what_is_unavailable_is_tried_again(inside: People) -> None:
    def away(run: JobRun) -> dict[str, bool]:
        if run.attempt == 1:
            raise UnavailableError("Not now.")
        return DONE

    make_kind(inside.app, away)
    job = ask()

    assert work_off() == 2
    assert look(job).state is JobState.SUCCEEDED
    assert look(job).error_code is None


def test_an_effect_that_fails_leaves_the_job_to_be_done_again(inside: People) -> None:
    def work(run: JobRun) -> None:
        with run.finishing():
            if run.attempt == 1:
                raise ZeroDivisionError

    make_kind(inside.app, work)
    job = ask()

    assert work_off() == 2
    assert look(job).state is JobState.SUCCEEDED


def test_a_cancelled_job_that_waits_never_runs(effects: Effects) -> None:
    job = ask()

    cancelled = jobs.cancel(actor=cli_actor(), public_id=job.public_id)

    assert cancelled.state is JobState.CANCELLED
    assert (work_off(), effects.count) == (0, 0)
    assert jobs.cancel(actor=cli_actor(), public_id=job.public_id).state is JobState.CANCELLED


def test_a_running_job_that_is_cancelled_has_no_effect_any_more(inside: People) -> None:
    gave_up: list[str] = []

    def work(run: JobRun) -> None:
        jobs.cancel(actor=cli_actor(), public_id=run.id)
        with run.finishing():
            pytest.fail("a cancelled job had its effect")

    make_kind(inside.app, work, gave_up=lambda job: gave_up.append(job.state.value))
    job = ask()

    work_off()

    assert look(job).state is JobState.CANCELLED
    assert gave_up == ["cancelled"]


def test_a_job_that_ended_cannot_be_cancelled(effects: Effects) -> None:
    job = ask()
    work_off()

    with refused(ErrorCode.INVALID_TRANSITION) as refusal:
        jobs.cancel(actor=cli_actor(), public_id=job.public_id)

    assert refusal.member("allowed_actions") == []


def test_a_job_that_waits_cannot_be_retried(effects: Effects) -> None:
    job = ask()

    with refused(ErrorCode.INVALID_TRANSITION) as refusal:
        jobs.retry(actor=cli_actor(), public_id=job.public_id)

    assert refusal.member("allowed_actions") == ["cancel"]


@pytest.mark.parametrize("round_number", range(10))
def test_cancelling_and_claiming_at_once_never_do_both(
    inside: People, effects: Effects, round_number: int
) -> None:
    job = ask()

    def run_it() -> object:
        found = job_claims.claim_named(owner="one", public_id=job.public_id)
        if found is not None:
            job_runs.carry_out(claim=found)
        return found

    def cancel_it() -> object:
        return jobs.cancel(actor=cli_actor(), public_id=job.public_id).cancel_requested

    _, cancelled = together(inside.app, run_it, cancel_it)

    state = look(job).state
    assert effects.count == (1 if state is JobState.SUCCEEDED else 0)
    if not isinstance(cancelled, Exception):
        assert state is JobState.CANCELLED


def test_the_log_keeps_the_newest_lines(inside: People) -> None:
    def talk(run: JobRun) -> None:
        for number in range(job_runs.MAX_LOG_LINES + 5):
            run.log(f"line {number}")

    make_kind(inside.app, talk)
    job = ask()

    work_off()

    (view,) = job_views.describe(jobs=[look(job)])
    assert [line.message for line in view.log][:1] == ["line 5"]
    assert len(view.log) == job_runs.MAX_LOG_LINES


def test_progress_is_told(inside: People) -> None:
    def count(run: JobRun) -> None:
        run.progress(1, 3, "files")
        run.progress(2, 3, "files")
        run.progress(3, 3, "files")

    make_kind(inside.app, count)
    job = ask()

    work_off()

    (view,) = job_views.describe(jobs=[look(job)])
    assert (view.progress.done, view.progress.total, view.progress.unit) == (3, 3, "files")


def test_waiting_ends_when_the_job_does(inside: People, effects: Effects) -> None:
    job = ask()
    worker = threading.Timer(0.05, _work_in, [inside.app])
    worker.start()

    assert jobs.wait_for(public_id=job.public_id, seconds=30)
    worker.join()


def _work_in(app: Flask) -> None:
    with app.app_context():
        work_off()


def test_waiting_ends_when_the_time_is_up(effects: Effects) -> None:
    assert not jobs.wait_for(public_id=ask().public_id, seconds=0.1)


def test_jobs_that_ended_long_ago_are_forgotten(inside: People, effects: Effects) -> None:
    old, young = ask(), ask()
    work_off()
    with transaction() as session:
        session.get_one(type(old), old.id).finished_at = utc_now() - timedelta(days=31)

    assert jobs.forget() == 1

    assert look(young).state is JobState.SUCCEEDED
