"""The database handle and what SQLite needs to be safe with several writers."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, MetaData, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateTable

from models import kept
from models.servers import MARIADB_ARGUMENTS, POSTGRESQL_ARGUMENTS

BUSY_TIMEOUT_MS = 5_000
POOL_WAIT_SECONDS = 2
POOL_RECYCLE_SECONDS = 1_800
WRITES = "relevo_writes"
CONNECTED = "relevo_connected"
"""In the info of a session: the last of its transactions that has taken a connection."""

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


BINARY_COLLATION = "utf8mb4_bin"
SqliteValue = str | bytes | int | float | None


class Base(DeclarativeBase):
    """Every table of Relevo; on MariaDB text compares byte by byte, as on the other engines."""

    metadata = MetaData(naming_convention=NAMES)
    __table_args__: Any = {"mysql_charset": "utf8mb4", "mysql_collate": BINARY_COLLATION}


db = SQLAlchemy(
    model_class=Base,
    disable_autonaming=True,
    session_options={"expire_on_commit": False, "class_": kept.Session},
)


def engine_options(database_url: str, *, threads: int = 4) -> dict[str, object]:
    """Return what `create_engine` needs for this database.

    A statement stands alone, on every engine, until BEGIN is sent: most calls read with one or
    two, and a transaction around them costs servers two round trips. A transaction on a server
    reads what is committed, which each connection is prepared for: the loser of a
    compare-and-set must see the winner's row. On SQLite units of work that may write begin with
    BEGIN IMMEDIATE: a reader that upgrades on a stale snapshot fails at once, whatever the busy
    timeout says.

    Args:
        database_url: as the settings have it.
        threads: how many requests one process answers at a time; each needs one connection, and
            a second one for a moment.
    """
    kind = make_url(database_url).get_backend_name()
    if kind == "sqlite":
        arguments: dict[str, object] = {
            "timeout": BUSY_TIMEOUT_MS / 1000,
            "isolation_level": None,
        }
        # A thread keeps one for single statements, and takes others for units of work.
        sizes = {"pool_size": 2 * threads, "max_overflow": 2 * threads}
        return {**_FOR_ALL, **sizes, "connect_args": arguments}
    return {
        **_FOR_ALL,
        "connect_args": POSTGRESQL_ARGUMENTS if kind == "postgresql" else MARIADB_ARGUMENTS,
        "pool_size": threads,
        "max_overflow": 2 * threads,
        "pool_timeout": POOL_WAIT_SECONDS,
        "pool_recycle": POOL_RECYCLE_SECONDS,
    }


_FOR_ALL = {"hide_parameters": True, "json_deserializer": orjson.loads}


class NoDatabaseError(sqlite3.OperationalError):
    """The file of the database is not there; opening it would make an empty one."""


@contextmanager
def no_file_made(engine: Engine) -> Iterator[None]:
    """Refuse meanwhile to open a SQLite database that does not exist yet."""
    if engine.dialect.name != "sqlite":
        yield
        return
    event.listen(engine, "do_connect", _check_file)
    try:
        yield
    finally:
        event.remove(engine, "do_connect", _check_file)


def _check_file(_dialect: Any, _record: Any, arguments: list[Any], _options: Any) -> None:
    """Look for the file that is to be opened; the types are those of SQLAlchemy's event."""
    name = str(arguments[0])
    if name != ":memory:" and not Path(name).exists():
        raise NoDatabaseError(f"There is no database at {name}.")


def engine_name(bind: Engine | Connection) -> str:
    """Return what the database behind a connection is called; needs one that was opened."""
    dialect = bind.dialect
    return "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name


@compiles(CreateTable, "mysql")
def _count_trailing_spaces(element: CreateTable, compiler: Any, **options: Any) -> str:
    """Let "web " differ from "web": the binary collation of that name pads with spaces.

    The compiler is Any for what only the one of MySQL has.
    """
    statement = str(compiler.visit_create_table(element, **options))
    dialect = compiler.dialect
    unpadded = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    return statement.replace(f"COLLATE {BINARY_COLLATION}", f"COLLATE {unpadded}")


def _lower(value: SqliteValue) -> SqliteValue:
    return value.lower() if isinstance(value, str) else value


@event.listens_for(Engine, "connect")
def _prepare_sqlite(dbapi_connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    # SQLite's own knows ASCII alone; searches must find the same on every engine.
    dbapi_connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


@event.listens_for(kept.Session, "after_begin")
def _begin_session(
    session: Session, transaction: SessionTransaction, connection: Connection
) -> None:
    if not transaction.nested:
        session.info[CONNECTED] = transaction
        send_begin(connection)


def send_begin(connection: Connection) -> None:
    """Begin a transaction; no driver does so by itself, see `engine_options`.

    Sessions do this by themselves. On a connection of its own a statement stands alone unless
    this was called: a listener to the engine's `begin` would do it everywhere, and make every
    statement on every engine 20 us dearer.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    writes = is_sqlite and connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
