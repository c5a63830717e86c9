from datetime import timedelta

import pytest
from sqlalchemy import update

from core.clock import utc_now
from core.clockwork import Chore, stop_flag
from models.engine import db
from models.jobs import Schedule
from services import clockwork
from services.transaction import end_reading, transaction
from tests.people import People
from tests.threads import together


class Tally:
    """A chore that counts how often it was done."""

    def __init__(self, every_seconds: int = 60) -> None:
        self.count = 0
        self.chore = Chore(
            name="tests.tally",
            every_seconds=every_seconds,
            run=self.run,
            is_wanted=lambda: self.is_wanted,
        )
        self.is_wanted = True

    def run(self) -> None:
        self.count += 1


def _row() -> Schedule:
    end_reading()
    return db.session.get_one(Schedule, "tests.tally", populate_existing=True)


def _let_time_pass() -> None:
    with transaction() as session:
        session.execute(update(Schedule).values(due_at=utc_now() - timedelta(seconds=1)))


def test_a_new_chore_is_done_at_once_and_then_at_its_time(inside: People) -> None:
    tally = Tally()

    assert [clockwork.run_due(chores=[tally.chore]) for _ in range(3)] == [1, 0, 0]
    _let_time_pass()
    assert clockwork.run_due(chores=[tally.chore]) == 1

    assert tally.count == 2
    assert _row().due_at > utc_now() + timedelta(seconds=50)


def test_of_many_workers_one_does_the_chore(inside: People) -> None:
    tally = Tally()
    clockwork.run_due(chores=[tally.chore])
    _let_time_pass()

    done = together(inside.app, *[lambda: clockwork.run_due(chores=[tally.chore])] * 6)

    assert sorted(map(str, done)) == ["0"] * 5 + ["1"]
    assert tally.count == 2


def test_a_chore_that_is_not_wanted_stays_due(inside: People) -> None:
    tally = Tally()
    tally.is_wanted = False
    assert clockwork.run_due(chores=[tally.chore]) == 0

    tally.is_wanted = True

    assert clockwork.run_due(chores=[tally.chore]) == 1


def test_a_failing_chore_is_counted_and_the_others_go_on(inside: People) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    tally = Tally()
    failing = Chore(name="tests.fail", every_seconds=60, run=fail)

    assert clockwork.run_due(chores=[failing, tally.chore]) == 2

    end_reading()
    assert db.session.get_one(Schedule, "tests.fail").failures == 1
    assert (tally.count, _row().failures) == (1, 0)


def test_no_chore_is_begun_when_the_worker_is_to_end(inside: People) -> None:
    tally = Tally()
    stop_flag(inside.app).set()

    assert clockwork.run_due(chores=[tally.chore]) == 0


@pytest.mark.parametrize("seconds", [30, 90])
def test_a_chore_whose_time_was_changed_follows_it(inside: People, seconds: int) -> None:
    clockwork.run_due(chores=[Tally().chore])
    _let_time_pass()

    clockwork.run_due(chores=[Tally(every_seconds=seconds).chore])

    assert abs(_row().due_at - utc_now() - timedelta(seconds=seconds)) < timedelta(seconds=10)
