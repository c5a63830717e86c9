"""The only module that commits."""

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Row, Update, literal, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase

from models.engine import CONNECTED, WRITES, db, send_begin
from models.kept import kept
from models.servers import error_code, lift_limits

REPEAT_PAUSES_SECONDS = (0.02, 0.1, 0.3)
# A deadlock or a failed serialisation on PostgreSQL; a deadlock on MariaDB.
COLLISIONS = ("40P01", "40001", 1213)
_OPEN = "relevo_transaction_open"
_AFTERWARDS = "relevo_after_commit"

P = ParamSpec("P")
T = TypeVar("T")


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
        if session.in_transaction():
            session.rollback()
        session.expire_all()
        session.info[_OPEN] = True
        afterwards: list[Callable[[], None]] = []
        session.info[_AFTERWARDS] = afterwards
        try:
            session.connection(execution_options={WRITES: True})
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info[_OPEN] = False
    for callback in afterwards:
        callback()


def is_open() -> bool:
    """Tell whether a unit of work is open."""
    # Asking the session would make one where there is none.
    return db.session.registry.has() and bool(db.session().info.get(_OPEN))


class single_statements:  # noqa: N801 - a class takes half the time of a generator
    """Read with statements that each stand alone, past the ORM and its transaction.

    For what is asked very often; each statement sees what was committed before it. Inside an
    open unit of work its connection is used, so that its own changes are seen.
    """

    _own: Connection | None = None
    _takes_kept = False

    def __enter__(self) -> Connection:
        if is_open():
            return db.session.connection()
        if not kept.is_wanted:
            self._own = db.engine.connect()
            return self._own
        self._takes_kept = True
        try:
            return kept.take()
        except DBAPIError:
            kept.close()
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._own is not None:
            self._own.close()
        elif self._takes_kept and isinstance(error, DBAPIError):
            kept.close()


def first_rows(statement: Executable, values: Mapping[str, object]) -> Sequence[Row[Any]]:
    """Read as `single_statements` do, with the statement that a call begins with.

    It spares asking the connection whether it is alive. Any: the reader knows the columns.
    """
    if kept.is_wanted and not is_open():
        return kept.first(statement, values)
    with single_statements() as connection:
        return connection.execute(statement, values).all()


@contextmanager
def reading() -> Iterator[Connection]:
    """Read with the session's connection where it has one, else as `single_statements` do."""
    if db.session.registry.has():
        session: Session = db.session()
        connected = session.info.get(CONNECTED)
        if connected is not None and connected is session.get_transaction():
            yield session.connection()
            return
    with single_statements() as connection:
        yield connection


class keeping_connection:  # noqa: N801 - a class takes half the time of a generator
    """Let the single statements of one call share a connection.

    It stays with the thread for its next call. One to a server goes back to the pool before a
    session takes one, and before any wait.
    """

    def __enter__(self) -> None:
        kept.begin(db.engine)

    def __exit__(self, *_error: object) -> None:
        kept.rest()


@contextmanager
def long_unit_of_work() -> Iterator[Connection]:
    """Write a great many rows at once, on a connection without the usual limits of time.

    For work on an installation that nobody else uses; commits at the end, rolls back on any
    exception. MariaDB commits by itself at each change of tables.
    """
    with write_turn(db.engine), db.engine.connect() as connection:
        connection = connection.execution_options(**{WRITES: True})
        lift_limits(connection)
        with connection.begin():
            send_begin(connection)
            yield connection


def after_commit(callback: Callable[[], None]) -> None:
    """Call `callback` once the open unit of work is committed; never when it is rolled back.

    For bells that wake somebody who will look at the rows, so that nobody looks too early. The
    callback must not raise: the change has happened. One that is given again is called once.

    Raises:
        RuntimeError: no unit of work is open.
    """
    info = db.session().info
    if not info.get(_OPEN):
        raise RuntimeError("no unit of work is open")
    if callback not in info[_AFTERWARDS]:
        info[_AFTERWARDS].append(callback)


def repeatable(
    *, also: type[IntegrityError] | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a function that is one unit of work and nothing else: it may be run again.

    Of two units of work that wait for each other a server ends one (a deadlock). That one left
    nothing behind and takes another run; inside an open unit of work it is the outer one's turn.

    Args:
        also: IntegrityError for functions that insert what somebody else may insert at the same
            moment, and that find it on the next run.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            for pause in () if db.session().info.get(_OPEN) else REPEAT_PAUSES_SECONDS:
                try:
                    return function(*args, **kwargs)
                except DBAPIError as error:
                    if not (is_collision(error) or (also and isinstance(error, also))):
                        raise
                time.sleep(random.uniform(0, pause))  # noqa: S311  # nosec B311
            return function(*args, **kwargs)

        return run

    return decorate


def is_collision(error: DBAPIError) -> bool:
    """Tell whether the server ended this unit of work in favour of another one."""
    return error_code(error) in COLLISIONS


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
    kept.let_go()
    if not db.session.registry.has():  # asking for the session would make one
        return
    session: Session = db.session()
    if session.info.get(_OPEN) or not session.in_transaction():
        return
    if session.dirty or session.new or session.deleted:
        session.rollback()
    else:
        session.commit()


def write_if_free(statement: Update) -> bool:
    """Run one statement on its own connection unless another writer is at work just now.

    For notes that may be lost, such as when a session was last seen: the request neither waits
    for its turn nor fails. On servers only writers of the same row count. Returns whether it was
    written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(write_turn(db.engine, wait=False))
            connection = stack.enter_context(db.engine.connect())
            if not _is_free(connection, statement):
                return False
            connection.execute(statement)
            connection.commit()
        except (BlockingIOError, DBAPIError, PoolTimeoutError):
            return False
    return True


def _is_free(connection: Connection, statement: Update) -> bool:
    if connection.dialect.name == "sqlite":
        return True
    send_begin(connection)
    rows = select(literal(1)).select_from(statement.table)
    if statement.whereclause is not None:
        rows = rows.where(statement.whereclause)
    return connection.scalar(rows.with_for_update(skip_locked=True)) is not None


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


def _lock_path(engine: Engine) -> str | None:
    """Return the lock file beside an SQLite database, or None for other and in-memory ones."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return f"{name}.lock"
