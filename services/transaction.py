"""The only module that commits."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.engine import WRITES, db

_OPEN = "relevo_transaction_open"


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one unit of work that may write; commit at the end, roll back on any exception.

    A nested call joins the outer one. What was read before is left behind first, so that nothing
    is decided on a stale snapshot. On SQLite writers of all processes take turns at a lock file:
    with 16 writers BEGIN IMMEDIATE alone starved some past the busy timeout, with the lock none.

    No file work, hashing or network inside.
    """
    session: Session = db.session()
    if session.info.get(_OPEN):
        yield session
        return
    with _write_turn(db.engine):
        session.rollback()
        session.info[_OPEN] = True
        try:
            session.connection(execution_options={WRITES: True})
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info[_OPEN] = False


def end_reading() -> None:
    """Close the read snapshot before waiting or doing file work, so that it holds nothing back."""
    if not db.session().info.get(_OPEN):
        db.session().rollback()


@contextmanager
def _write_turn(engine: Engine) -> Iterator[None]:
    path = _lock_path(engine)
    if path is None:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock_path(engine: Engine) -> Path | None:
    """Return the lock file beside an SQLite database, or None for other and in-memory ones."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(f"{name}.lock")
