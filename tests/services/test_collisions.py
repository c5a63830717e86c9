"""Units of work that get in each other's way, on whatever engine the tests run."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pymysql
import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from core.errors import ConflictError, DomainError, ErrorCode
from models.engine import db
from models.roles import Role
from services import audit_proof
from services.actors import cli_actor, system_actor
from services.audit import Target, record
from services.failures import as_domain_error
from services.sessions import open_session, refresh
from services.transaction import repeatable, transaction
from tests.engines import CHOSEN, SQLITE
from tests.factories import live, make_site, promote, roll_back, upload
from tests.people import ADDRESS, People, find


def _at_once(people: People, *calls: Callable[[], object]) -> list[BaseException]:
    """Run the calls at the same time and return what they raised."""

    def run(call: Callable[[], object]) -> None:
        with people.app.app_context():
            call()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
    return [error for future in futures if (error := future.exception())]


@pytest.mark.skipif(CHOSEN == SQLITE, reason="writers of SQLite take turns from the start")
def test_of_two_that_wait_for_each_other_both_take_effect(people: People) -> None:
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def describe(*names: str) -> Callable[[], None]:
        @repeatable()
        def work() -> None:
            is_first_run = names[0] not in runs
            runs.append(names[0])
            with transaction() as session:
                for name in names:
                    change = update(Role).where(Role.name == name)
                    session.execute(change.values(version=Role.version + 1))
                    if is_first_run and name == names[0]:
                        both_hold_one.wait(timeout=20)

        return work

    raised = _at_once(people, describe("member", "auditor"), describe("auditor", "member"))

    assert raised == []
    assert len(runs) > 2, "nobody was ended"
    with people.app.app_context():
        found = db.session.query(Role).filter(Role.name.in_(["member", "auditor"]))
        assert [role.version for role in found] == [3, 3]


def test_what_collides_for_ever_is_given_up(inside: People) -> None:
    runs = []

    @repeatable()
    def collide() -> None:
        runs.append(1)
        raise OperationalError("", {}, psycopg.errors.DeadlockDetected())

    with pytest.raises(OperationalError):
        collide()

    assert 2 <= len(runs) <= 5


def test_other_errors_are_not_repeated(inside: People) -> None:
    runs = []

    @repeatable()
    def fail() -> None:
        runs.append(1)
        raise IntegrityError("", {}, psycopg.errors.UniqueViolation())

    with pytest.raises(IntegrityError):
        fail()

    assert len(runs) == 1


def test_a_part_of_a_unit_of_work_is_not_repeated_by_itself(inside: People) -> None:
    runs = []

    @repeatable()
    def part() -> None:
        runs.append(1)
        raise OperationalError("", {}, pymysql.err.OperationalError(1213, "Deadlock found"))

    with pytest.raises(OperationalError), transaction():
        part()

    assert len(runs) == 1


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (psycopg.errors.DeadlockDetected(), ErrorCode.UNAVAILABLE),
        (psycopg.errors.LockNotAvailable(), ErrorCode.UNAVAILABLE),
        (psycopg.errors.ReadOnlySqlTransaction(), ErrorCode.UNAVAILABLE),
        (psycopg.errors.UndefinedTable(), ErrorCode.UNAVAILABLE),
        (pymysql.err.ProgrammingError(1146, "Table doesn't exist"), ErrorCode.UNAVAILABLE),
        (psycopg.errors.DiskFull(), ErrorCode.INSUFFICIENT_DISK),
        (pymysql.err.OperationalError(1213, "Deadlock found"), ErrorCode.UNAVAILABLE),
        (pymysql.err.OperationalError(1205, "Lock wait timeout"), ErrorCode.UNAVAILABLE),
        (pymysql.err.OperationalError(1290, "--read-only"), ErrorCode.UNAVAILABLE),
        (pymysql.err.OperationalError(1021, "Disk full"), ErrorCode.INSUFFICIENT_DISK),
    ],
)
def test_failures_of_servers_have_a_name(cause: Exception, code: ErrorCode) -> None:
    error = DBAPIError.instance("SELECT 1", {}, cause, Exception)

    refusal = as_domain_error(error)

    assert refusal is not None
    assert refusal.code == code


def test_events_of_many_writers_make_one_chain(people: People) -> None:
    def write() -> None:
        for number in range(5):
            after = {"float": 0.1 + number, "text": "Zoë \N{CRAB}", "z": None, "a": [1, {"b": 2}]}
            record(actor=cli_actor(), action="x", target=Target(type="t", id="1"), after=after)

    raised = _at_once(people, *[write] * 6)

    assert raised == []
    with people.app.app_context():
        proof = audit_proof.verify(actor=system_actor())
        assert (proof.valid, proof.checked >= 30) == (True, True)


def test_everything_at_once_ends_in_order(people: People) -> None:
    people.user("ana")
    with people.app.app_context():
        make_site(main=["one", "two"])
    refused: list[DomainError] = []

    def tolerant(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(3):
                try:
                    call()
                except ConflictError as error:
                    refused.append(error)

        return run

    def sign_in_and_refresh() -> None:
        signed_in = open_session(user=find("ana"), address=ADDRESS, user_agent=None)
        refresh(refresh_token=signed_in.refresh_token, address=ADDRESS, request_id=None)

    raised = _at_once(
        people,
        tolerant(lambda: upload("same")),
        tolerant(lambda: upload("same")),
        tolerant(lambda: upload("other")),
        tolerant(lambda: promote(allow_older=True)),
        tolerant(roll_back),
        tolerant(sign_in_and_refresh),
        tolerant(lambda: make_site("second")),
    )

    assert raised == []
    assert {error.code for error in refused} <= {
        ErrorCode.PROMOTION_IN_PROGRESS,
        ErrorCode.RELEASE_NOT_READY,
        ErrorCode.ENVIRONMENT_HELD,
        ErrorCode.ALREADY_EXISTS,
    }
    with people.app.app_context():
        assert live() is not None
        assert audit_proof.verify(actor=system_actor()).valid
