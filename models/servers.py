"""Connections to PostgreSQL and MariaDB that always come to an end.

A server that is down refuses at once, but one that hangs would hold every thread of ours. So
connecting, a sign of life and each statement have a time limit on our side as well, and while a
server does not answer only one caller at a time tries it: the others are refused at once.
"""

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from core.clock import monotonic

CONNECT_SECONDS = 2
HANDSHAKE_SECONDS = 1.5
SIGN_OF_LIFE_SECONDS = 0.5
STATEMENT_SECONDS = 10
LOCK_WAIT_SECONDS = 5
IDLE_TRANSACTION_SECONDS = 60
MIGRATION_LOCK_WAIT_SECONDS = 30
ANSWER_MARGIN_SECONDS = 2
PAUSE_SECONDS = 0.5
TRIAL_SECONDS = 0.25
UNREACHABLE = (2003, "not tried: the server did not answer a moment ago")

SQL_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)

# psycopg waits at least two seconds for a connection; keepalives find peers that are gone.
POSTGRESQL_ARGUMENTS: dict[str, object] = {
    "connect_timeout": CONNECT_SECONDS,
    "client_encoding": "utf8",
    "application_name": "relevo",
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
MARIADB_ARGUMENTS: dict[str, object] = {
    "connect_timeout": HANDSHAKE_SECONDS,
    "read_timeout": HANDSHAKE_SECONDS,
    "write_timeout": HANDSHAKE_SECONDS,
    "charset": "utf8mb4",
    "collation": "utf8mb4_bin",
    # A hostile server may ask for any file of ours; never answer.
    "local_infile": False,
}


class ServerConnection(ABC):
    """A connection on which no wait is endless; the driver's own class is the other base."""

    @abstractmethod
    def prepare(self) -> None:
        """Limit what the server does for us, and for how long."""

    @abstractmethod
    def lift_limits(self) -> None:
        """Allow statements that take long, but no long wait for a lock that stops everybody."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Tell whether the server answers on this connection."""

    @property
    @abstractmethod
    def limit_seconds(self) -> float | None:
        """How long an answer may take before the connection is given up; None for ever."""

    @limit_seconds.setter
    @abstractmethod
    def limit_seconds(self, value: float | None) -> None: ...

    @contextmanager
    def answering_soon(self) -> Iterator[None]:
        """Wait no longer than for a sign of life."""
        usual, self.limit_seconds = self.limit_seconds, SIGN_OF_LIFE_SECONDS
        try:
            yield
        finally:
            self.limit_seconds = usual


class Gate:
    """Refuses at once what would only wait for a server that does not answer."""

    def __init__(self) -> None:
        self._trial = threading.Lock()
        self._is_open = True
        self._next_try_at = 0.0

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Yield whether to try.

        Once an attempt failed there is one at a time, after a pause; who comes meanwhile waits
        a moment for how it ends, because a server that is back answers fast.
        """
        if self._is_open:
            with self._noted():
                yield True
        elif monotonic() < self._next_try_at or not self._trial.acquire(timeout=TRIAL_SECONDS):
            yield False
        else:
            try:
                is_due = self._is_due()
                with self._noted() if is_due else nullcontext():
                    yield is_due
            finally:
                self._trial.release()

    def _is_due(self) -> bool:
        return self._is_open or monotonic() >= self._next_try_at

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._next_try_at = monotonic() + PAUSE_SECONDS
            self._is_open = False
            raise
        self._is_open = True


class _Asked(threading.local):
    """Whether a pooled connection is asked for a sign of life when a thread takes it."""

    first = True


_asked = _Asked()
_gates: weakref.WeakKeyDictionary[Dialect, Gate] = weakref.WeakKeyDictionary()
# Loaded by name when the first connection is made: an SQLite installation needs no driver.
_OPENERS = {"postgresql": "models.postgresql", "mysql": "models.mariadb"}


def lift_limits(connection: Connection) -> None:
    """Let this connection work long, for migrations; it is closed after use, not pooled."""
    inner: object = connection.connection.dbapi_connection
    if isinstance(inner, ServerConnection):
        connection.detach()
        inner.lift_limits()


def error_code(error: DBAPIError) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL or the number of MariaDB; None when there is neither."""
    parts: tuple[object, ...] = error.orig.args if error.orig is not None else ()
    if parts and isinstance(parts[0], int):  # PyMySQL, which knows a state too
        return parts[0]
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


@contextmanager
def unasked() -> Iterator[None]:
    """Take connections as they are; the caller's first statement is the sign of life."""
    _asked.first = False
    try:
        yield
    finally:
        _asked.first = True


def answering_soon(connection: Connection) -> AbstractContextManager[None]:
    """Let what is run on a connection meanwhile be its sign of life: in time, or given up."""
    inner: object = connection.connection.dbapi_connection
    return inner.answering_soon() if isinstance(inner, ServerConnection) else nullcontext()


@event.listens_for(Engine, "do_connect")
def _connect(
    dialect: Dialect,
    _record: ConnectionPoolEntry,
    arguments: tuple[Any, ...],  # Any: whatever the URL and its driver need
    named: dict[str, Any],
) -> ServerConnection | None:
    module = _OPENERS.get(dialect.name)
    if module is None:
        return None
    with _gates.setdefault(dialect, Gate()).attempt() as may_try:
        if may_try:
            connection: ServerConnection = import_module(module).connect(*arguments, **named)
            connection.prepare()
            return connection
    raise dialect.loaded_dbapi.OperationalError(*UNREACHABLE)


@event.listens_for(Pool, "checkout")
def _check(connection: object, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    """Ask a pooled connection for a sign of life; a dead one ends all that are as old."""
    if not isinstance(connection, ServerConnection):
        return
    if record.info.setdefault("relevo.checked", None) is None:
        record.info["relevo.checked"] = True
    elif _asked.first:
        with connection.answering_soon():
            is_alive = connection.is_alive()
        if not is_alive:
            raise InvalidatePoolError
