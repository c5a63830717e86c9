"""Connections to PostgreSQL and MariaDB that always come to an end.

A server that is down refuses at once, but one that hangs would hold every thread of ours. So
connecting, a sign of life and each statement have a time limit on our side as well, and while a
server does not answer only one caller at a time tries it: the others are refused at once.
"""

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pymysql
from psycopg.abc import RV, PQGen
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
    "write_timeout": STATEMENT_SECONDS,
    "charset": "utf8mb4",
    "collation": "utf8mb4_bin",
    # A hostile server may ask for any file of ours; never answer.
    "local_infile": False,
}


class PostgresqlConnection(psycopg.Connection[tuple[Any, ...]]):  # Any: rows of any statement
    """A connection on which no wait is endless."""

    _limit_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer; close the connection when it does not come in time."""
        started, limit = monotonic(), self._limit_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if limit is not None and monotonic() - started >= limit:
                self.close()
            raise

    def prepare(self) -> None:
        """Limit what the server does for us, and for how long."""
        self._limit_seconds = CONNECT_SECONDS
        self._set(
            statement_timeout=f"{STATEMENT_SECONDS}s",
            lock_timeout=f"{LOCK_WAIT_SECONDS}s",
            idle_in_transaction_session_timeout=f"{IDLE_TRANSACTION_SECONDS}s",
            timezone="UTC",
        )
        self._limit_seconds = STATEMENT_SECONDS + ANSWER_MARGIN_SECONDS

    def lift_limits(self) -> None:
        """Allow statements that take long, but no long wait for a lock that stops everybody."""
        self._limit_seconds = None
        self._set(
            statement_timeout="0",
            lock_timeout=f"{MIGRATION_LOCK_WAIT_SECONDS}s",
            idle_in_transaction_session_timeout="0",
        )

    def is_alive(self) -> bool:
        """Tell whether the server answers on this connection, and soon."""
        usual, self._limit_seconds = self._limit_seconds, SIGN_OF_LIFE_SECONDS
        try:
            self._outside_transaction("SELECT 1", ())
        except psycopg.Error:
            return False
        finally:
            self._limit_seconds = usual
        return True

    def _set(self, **values: str) -> None:
        calls = ", ".join(["set_config(%s, %s, false)"] * len(values))
        words = [word for pair in values.items() for word in pair]
        self._outside_transaction(f"SELECT {calls}", words)

    def _outside_transaction(self, statement: str, values: Sequence[str]) -> None:
        self.autocommit = True
        self.execute(statement.encode(), values)
        self.autocommit = False


class MariadbConnection(pymysql.connections.Connection):
    """A connection on which no wait is endless."""

    def prepare(self) -> None:
        """Make the server strict, and limit what it does for us, and for how long."""
        self._set(
            sql_mode=f"'{SQL_MODE}'",
            time_zone="'+00:00'",
            innodb_lock_wait_timeout=LOCK_WAIT_SECONDS,
            lock_wait_timeout=LOCK_WAIT_SECONDS,
            **self._statement_limits(STATEMENT_SECONDS, IDLE_TRANSACTION_SECONDS),
        )
        self._read_timeout: float | None = STATEMENT_SECONDS + ANSWER_MARGIN_SECONDS

    def lift_limits(self) -> None:
        """Allow statements that take long, but no long wait for a lock that stops everybody."""
        self._read_timeout = None
        limits = self._statement_limits(0, 0)
        self._set(lock_wait_timeout=MIGRATION_LOCK_WAIT_SECONDS, **limits)

    def is_alive(self) -> bool:
        """Tell whether the server answers on this connection, and soon."""
        usual, self._read_timeout = self._read_timeout, SIGN_OF_LIFE_SECONDS
        try:
            self.ping(reconnect=False)
        except (pymysql.Error, OSError):
            return False
        finally:
            self._read_timeout = usual
        return True

    def _statement_limits(self, statement: int, idle: int) -> dict[str, object]:
        """Return the limits that this server knows: MariaDB and MySQL name them differently."""
        version = str(self.get_server_info())  # type: ignore[no-untyped-call]
        if "mariadb" in version.lower():
            return {"max_statement_time": statement, "idle_transaction_timeout": idle}
        return {"max_execution_time": statement * 1000}

    def _set(self, **values: object) -> None:
        assignments = ", ".join(f"SESSION {name} = {value}" for name, value in values.items())
        with self.cursor() as cursor:
            cursor.execute(f"SET {assignments}")


ServerConnection = PostgresqlConnection | MariadbConnection


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


_gates: weakref.WeakKeyDictionary[Dialect, Gate] = weakref.WeakKeyDictionary()
_CLASSES = {"postgresql": PostgresqlConnection, "mysql": MariadbConnection}


def lift_limits(connection: Connection) -> None:
    """Let this connection work long, for migrations; it is closed after use, not pooled."""
    inner: object = connection.connection.dbapi_connection
    if isinstance(inner, ServerConnection):
        connection.detach()
        inner.lift_limits()


def error_code(error: DBAPIError) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL or the number of MariaDB; None when there is neither."""
    if isinstance(error.orig, psycopg.Error):
        return error.orig.sqlstate
    if isinstance(error.orig, pymysql.Error) and error.orig.args:
        number: object = error.orig.args[0]
        return number if isinstance(number, int) else None
    return None


@event.listens_for(Engine, "do_connect")
def _connect(
    dialect: Dialect,
    _record: ConnectionPoolEntry,
    arguments: tuple[Any, ...],  # Any: whatever the URL and its driver need
    named: dict[str, Any],
) -> ServerConnection | None:
    kind = _CLASSES.get(dialect.name)
    if kind is None:
        return None
    with _gates.setdefault(dialect, Gate()).attempt() as may_try:
        if may_try:
            connection: ServerConnection = (
                MariadbConnection(*arguments, **named)
                if kind is MariadbConnection
                else PostgresqlConnection.connect(*arguments, **named)
            )
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
    elif not connection.is_alive():
        raise InvalidatePoolError
