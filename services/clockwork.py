"""The timetable: of several workers the one that moves a chore's time on does the chore."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.clockwork import Chore, is_stopping
from models.engine import db
from models.jobs import Schedule
from services.transaction import changed_rows, end_reading, repeatable, transaction

logger = logging.getLogger("relevo.clockwork")


def run_due(*, chores: Sequence[Chore]) -> int:
    """Do the chores that are due and that nobody else took; return how many.

    A failing chore is logged and due again at its usual time; the others go on.
    """
    times, done = _times(chores), 0
    for chore in chores:
        if is_stopping():
            break
        due_at = times[chore.name]
        if due_at <= utc_now() and _is_wanted(chore) and _take(chore, due_at):
            _do(chore)
            done += 1
    return done


def _is_wanted(chore: Chore) -> bool:
    return chore.is_wanted is None or chore.is_wanted()


def _do(chore: Chore) -> None:
    failures = 0
    try:
        chore.run()
    except Exception:
        # A boundary like that of a process: one failing chore must not end the others.
        logger.exception("chore failed", extra={"chore": chore.name})
        failures = 1
    finally:
        end_reading()
    _note_end(chore, failures)


def _times(chores: Sequence[Chore]) -> dict[str, datetime]:
    """Return when each chore is due; one that is new is entered and due at once."""
    times = _read()
    missing = [chore for chore in chores if chore.name not in times]
    for chore in missing:
        _enter(chore)
    return _read() if missing else times


def _read() -> dict[str, datetime]:
    rows = db.session.execute(select(Schedule.name, Schedule.due_at)).all()
    end_reading()
    return {row.name: row.due_at for row in rows}


@repeatable(also=IntegrityError)
def _enter(chore: Chore) -> None:
    with transaction() as session:
        if session.get(Schedule, chore.name) is None:
            session.add(
                Schedule(name=chore.name, every_seconds=chore.every_seconds, due_at=utc_now())
            )


@repeatable()
def _take(chore: Chore, due_at: datetime) -> bool:
    """Move the time on; False when somebody else did."""
    now = utc_now()
    with transaction():
        return bool(
            changed_rows(
                update(Schedule)
                .where(Schedule.name == chore.name, Schedule.due_at == due_at)
                .values(
                    due_at=now + timedelta(seconds=chore.every_seconds),
                    every_seconds=chore.every_seconds,
                    started_at=now,
                )
            )
        )


@repeatable()
def _note_end(chore: Chore, failures: int) -> None:
    with transaction() as session:
        session.execute(
            update(Schedule)
            .where(Schedule.name == chore.name)
            .values(finished_at=utc_now(), failures=(Schedule.failures + 1) if failures else 0)
        )
