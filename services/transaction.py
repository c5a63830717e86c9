"""The only module that commits."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import CursorResult, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase

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
    with write_turn(db.engine):
        session.rollback()
        session.expire_all()
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


def changed_rows(statement: UpdateBase) -> int:
    """Run an UPDATE or DELETE in the open unit of work and return how many rows it met.

    The way to decide a compare-and-set: zero means that somebody else was faster.
    """
    result = db.session.execute(statement)
    return result.rowcount if isinstance(result, CursorResult) else 0


def end_reading() -> None:
    """Close the read snapshot before waiting or doing file work, so that it holds nothing back.

    What was read stays readable without a new statement; `transaction` forgets it.
    """
    session: Session = db.session()
    if session.info.get(_OPEN):
        return
    if session.dirty or session.new or session.deleted:
        session.rollback()
    else:
        session.commit()


def write_if_free(statement: UpdateBase) -> bool:
    """Run one statement on its own connection unless another writer is at work just now.

    For notes that may be lost, such as when a session was last seen: the request neither waits
    for its turn nor fails. Returns whether it was written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(write_turn(db.engine, wait=False))
            connection = stack.enter_context(db.engine.connect())
            connection = connection.execution_options(**{WRITES: True})
            connection.execute(statement)
            connection.commit()
        except (BlockingIOError, DBAPIError):
            return False
    return True


@contextmanager
def write_turn(engine: Engine, *, wait: bool = True) -> Iterator[None]:
    """Be the only writer of an SQLite database; on servers nothing, they know better.

    Raises:
        BlockingIOError: somebody else writes, and the caller does not want to wait.
    """
    path = _lock_path(engine)
    if path is None:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _lock_path(engine: Engine) -> Path | None:
    """Return the lock file beside an SQLite database, or None for other and in-memory ones."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(f"{name}.lock")
