import pytest

from core.errors import ErrorCode
from models.jobs import JobState
from models.roles import Role
from models.users import User
from services import jobs
from services.actors import cli_actor, system_actor
from services.job_runs import JobRun
from services.paging import PageRequest
from services.transaction import transaction
from tests.factories import refused
from tests.people import People, find
from tests.working import Effects, ask, look, make_kind, work_off
from tests.working import effects as effects


def test_the_rights_are_those_of_the_moment_at_which_the_job_runs(inside: People) -> None:
    seen: list[bool] = []
    make_kind(inside.app, lambda run: seen.append(run.actor.holds("users:write")))
    ana = inside.actor("ana", "admin")
    ask(actor=ana)
    with transaction() as session:
        member = session.query(Role).filter_by(name="member").one()
        session.get_one(User, ana.user_id).role_id = member.id

    work_off()

    assert seen == [False]


def test_the_job_of_a_deactivated_user_is_refused(inside: People, effects: Effects) -> None:
    job = ask(actor=inside.actor("ana", "member"))
    with transaction():
        find("ana").is_active = False

    work_off()

    ended = look(job)
    assert (ended.state, ended.error_code) == (JobState.FAILED, ErrorCode.TOKEN_REVOKED)
    assert effects.count == 0


def test_somebody_deactivated_while_the_job_runs_has_no_effect(inside: People) -> None:
    def work(run: JobRun) -> None:
        with transaction():
            find("ana").is_active = False
        with run.finishing():
            pytest.fail("the effect of somebody who was deactivated")

    make_kind(inside.app, work)
    job = ask(actor=inside.actor("ana", "member"))

    work_off()

    assert look(job).error_code == ErrorCode.TOKEN_REVOKED


def test_jobs_are_seen_by_whoever_asked_and_by_readers_of_the_site(inside: People) -> None:
    make_kind(inside.app, lambda _: None)
    site = inside.site("web")
    ana, ben = inside.actor("ana", "member"), inside.actor("ben", "member")
    inside.members("web", ben="deployer")
    inside.user("cem")
    inside.members("web", cem="reader")
    own, of_site = ask(actor=ana), ask(site_id=site.id)
    ask()

    seen = {
        name: {job.public_id for job in jobs.list_jobs(actor=actor, page=PageRequest()).items}
        for name, actor in {"ana": ana, "ben": ben, "cem": inside.actor("cem")}.items()
    }

    assert seen == {"ana": {own.public_id}, "ben": {of_site.public_id}, "cem": set()}
    everything = jobs.list_jobs(actor=inside.actor("root"), page=PageRequest())
    assert everything.total == 3


def test_a_reader_of_a_site_cannot_cancel_the_job_of_somebody_else(inside: People) -> None:
    make_kind(inside.app, lambda _: None)
    job = ask(site_id=inside.site("web").id)
    ben = inside.actor("ben", "member")
    inside.members("web", ben="deployer")

    with refused(ErrorCode.SCOPE_MISSING):
        jobs.cancel(actor=ben, public_id=job.public_id)


def test_a_job_of_nobody_is_cancelled_by_administrators_only(inside: People) -> None:
    make_kind(inside.app, lambda _: None)
    job = ask()

    with refused(ErrorCode.SCOPE_MISSING):
        jobs.cancel(actor=inside.actor("max", "maintainer"), public_id=job.public_id)

    assert jobs.cancel(actor=inside.actor("root"), public_id=job.public_id).has_ended


def test_system_actors_are_system_actors_again(inside: People) -> None:
    seen: list[object] = []
    make_kind(inside.app, lambda run: seen.append(run.actor.via))
    ask(actor=system_actor())
    ask(actor=cli_actor())

    work_off()

    assert seen == ["system", "cli"]
