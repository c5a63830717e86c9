from collections.abc import Callable

import pytest

from core.errors import ErrorCode
from models.jobs import JobState
from services import job_claims, job_runs
from services.job_runs import JobRun, JobStoppedError
from tests.people import People
from tests.threads import together
from tests.working import (
    DONE,
    Effects,
    ask,
    claim,
    look,
    lose_lease,
    make_kind,
    take_back,
    work_off,
)
from tests.working import effects as effects


def test_a_message_that_comes_twice_finds_nothing_the_second_time(effects: Effects) -> None:
    job = ask()

    first = job_claims.claim_named(owner="one", public_id=job.public_id)
    second = job_claims.claim_named(owner="two", public_id=job.public_id)

    assert first is not None
    assert second is None
    job_runs.carry_out(claim=first)
    assert job_claims.claim_named(owner="two", public_id=job.public_id) is None
    assert effects.count == 1


def test_of_many_who_claim_at_once_one_gets_it(inside: People, effects: Effects) -> None:
    job = ask()

    claims = together(
        inside.app,
        *[lambda: job_claims.claim_named(owner="one", public_id=job.public_id)] * 8,
    )

    assert sum(isinstance(found, job_claims.Claim) for found in claims) == 1, claims


def test_a_worker_that_lost_its_lease_can_write_nothing(inside: People) -> None:
    refusals: list[str] = []

    def late(run: JobRun) -> None:
        if run.attempt > 1:
            return
        lose_lease(job)
        take_back()
        assert run.is_cancelled()
        writes: tuple[Callable[[], None], ...] = (
            lambda: run.log("late"),
            lambda: run.progress(1, 1),
            lambda: _finish(run),
        )
        for write in writes:
            with pytest.raises(JobStoppedError):
                write()
            refusals.append("refused")

    make_kind(inside.app, late)
    job = ask()

    job_runs.carry_out(claim=claim("slow"))

    assert refusals == ["refused"] * 3
    assert look(job).state is JobState.QUEUED
    work_off()
    assert look(job).state is JobState.SUCCEEDED
    assert look(job).log_count == 0


def _finish(run: JobRun) -> None:
    with run.finishing():
        pytest.fail("the fence let a late copy through")


def test_the_job_of_a_dead_worker_is_taken_over_at_once(effects: Effects) -> None:
    job = ask()
    claim("dead")

    assert take_back() == 0
    assert take_back("dead") == 1

    work_off()
    assert (effects.count, look(job).attempts) == (1, 2)


def test_a_sign_of_life_keeps_a_job(effects: Effects) -> None:
    job = ask()
    held = claim("alive")
    lose_lease(job)

    assert job_claims.extend(owner="alive", job_ids=[held.job_id]) == 1

    assert take_back() == 0


def test_a_job_that_kills_its_workers_is_given_up(effects: Effects) -> None:
    job = ask()
    for _ in range(job.max_attempts):
        claim("dead")
        take_back("dead")

    ended = look(job)

    assert ended.state is JobState.FAILED
    assert ended.error_code == ErrorCode.INTERNAL_ERROR
    assert work_off() == 0


def test_a_worker_that_stops_hands_a_long_job_back(inside: People) -> None:
    def long(run: JobRun) -> dict[str, bool] | None:
        run.stop_if_cancelled()
        return DONE

    make_kind(inside.app, long)
    job = ask()

    job_runs.carry_out(claim=claim(), is_stopping=lambda: True)

    waiting = look(job)
    assert (waiting.state, waiting.attempts) == (JobState.QUEUED, 0)
    work_off()
    assert look(job).state is JobState.SUCCEEDED


def test_a_claim_that_was_handed_back_does_not_count_as_an_attempt(effects: Effects) -> None:
    job = ask()

    job_claims.hand_back(claim=claim())

    assert (look(job).state, look(job).attempts) == (JobState.QUEUED, 0)
