"""The database engine that the tests run on, and databases of their own on it.

`TEST_ENGINE` chooses it: sqlite (the default), postgresql or mariadb. Servers are looked for on
their standard local ports, or where TEST_POSTGRESQL_URL and TEST_MARIADB_URL say. Every run
makes databases with names of its own and drops them at its end.

A data folder has one database, as it has with SQLite: two applications on one folder share it.
"""

import atexit
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pytest
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    delete,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import OperationalError

from config import normal_database_url
from models.engine import Base, engine_options, send_begin
from models.registry import MODELS
from models.servers import ServerConnection
from tests.services_guard import missing_service

SQLITE, POSTGRESQL, MARIADB = "sqlite", "postgresql", "mariadb"
ENGINES = (SQLITE, POSTGRESQL, MARIADB)
CHOSEN = os.environ.get("TEST_ENGINE", SQLITE)  # noqa: TID251 - tests have no settings
SERVERS = {
    POSTGRESQL: ("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres"),
    MARIADB: ("TEST_MARIADB_URL", "mariadb://root@127.0.0.1:3306/mysql"),
}
WITHOUT_FOREIGN_KEYS = {
    POSTGRESQL: "SET LOCAL session_replication_role = replica",
    MARIADB: "SET SESSION foreign_key_checks = 0",
}
NEXT_ID = """
SELECT setval(sequence, (SELECT max(id) FROM {table}))
FROM (SELECT pg_get_serial_sequence('{table}', column_name) AS sequence
      FROM information_schema.columns WHERE table_name = '{table}' AND column_name = 'id') AS found
WHERE sequence IS NOT NULL
"""
RUN = f"relevo_test_{os.getpid()}_{secrets.token_hex(3)}"
# What people see of a request is its key, so that every installation counts from 1.
FROM_ONE = {
    POSTGRESQL: "SELECT setval(pg_get_serial_sequence('change_requests', 'id'), 1, false)",
    MARIADB: "ALTER TABLE change_requests AUTO_INCREMENT = 1",
}
FILE = "relevo.db"

only_sqlite = pytest.mark.skipif(CHOSEN != SQLITE, reason="looks at what only SQLite does")

if CHOSEN not in ENGINES or not MODELS:
    raise RuntimeError(f"TEST_ENGINE must be one of {', '.join(ENGINES)}")


@dataclass
class Server:
    """A PostgreSQL or MariaDB on which databases are made and dropped."""

    name: str
    url: URL
    number: int = 0
    made: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, list[dict[str, object]]]] = field(default_factory=dict)

    def create(self) -> str:
        """Make an empty database and return its name."""
        database = f"{RUN}_{self.number}"
        self.number += 1
        if self.name == POSTGRESQL:
            kind = "ENCODING 'UTF8' TEMPLATE template0"
        else:
            kind = "CHARACTER SET utf8mb4"
        with self.administrator() as connection:
            connection.execute(text(f"CREATE DATABASE {database} {kind}"))
        self.made.append(database)
        return database

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        force = " WITH (FORCE)" if self.name == POSTGRESQL else ""
        with self.administrator() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {database}{force}"))
        self.made.remove(database)

    def copy(self, template: str) -> str:
        """Return a database with the tables and rows of `template`, none of which may change.

        A database that was given back is emptied and filled, which is much faster than making
        and dropping one for every test.
        """
        database = self.free.pop() if self.free else self._with_tables()
        with self.engine(database).begin() as connection:
            send_begin(connection)
            connection.execute(text(WITHOUT_FOREIGN_KEYS[self.name]))
            for table in Base.metadata.tables.values():
                connection.execute(delete(table))
            connection.execute(text(FROM_ONE[self.name]))
            for name, rows in self._rows(template).items():
                connection.execute(insert(Base.metadata.tables[name]), rows)
                if self.name == POSTGRESQL:
                    connection.execute(text(NEXT_ID.format(table=name)))
        return database

    def give_back(self, database: str) -> None:
        """Take a copy back that is not needed any more."""
        self.free.append(database)

    def _rows(self, template: str) -> dict[str, list[dict[str, object]]]:
        if template not in self.rows:
            with self.engine(template).connect() as connection:
                found = {
                    table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                    for table in Base.metadata.sorted_tables
                }
            self.rows[template] = {name: rows for name, rows in found.items() if rows}
        return self.rows[template]

    def administrator(self) -> Connection:
        """Return a connection outside of any transaction to the server.

        It waits as long as it takes: dropping a database waits for the disk.
        """
        connection = self.engine(str(self.url.database)).connect()
        inner: object = connection.connection.dbapi_connection
        assert isinstance(inner, ServerConnection)
        inner.lift_limits()
        return connection.execution_options(isolation_level="AUTOCOMMIT")

    def engine(self, database: str) -> Engine:
        """Return an engine without a pool."""
        url = self.address(database)
        return create_engine(
            url,
            connect_args=engine_options(url)["connect_args"],
            poolclass=NullPool,
        )

    def address(self, database: str) -> str:
        """Return the address of one database of this server."""
        return self.url.set(database=database).render_as_string(hide_password=False)

    def _with_tables(self) -> str:
        database = self.create()
        Base.metadata.create_all(self.engine(database))
        return database


@lru_cache
def server(name: str) -> Server:
    """Return a server; the test is skipped, or fails, when it does not answer."""
    variable, default = SERVERS[name]
    url = make_url(normal_database_url(os.environ.get(variable, default)))  # noqa: TID251
    found = Server(name, url)
    try:
        found.administrator().close()
    except OperationalError:
        missing_service(f"{name} does not answer at {url.host}:{url.port}; see {variable}")
    atexit.register(_drop_all, found)
    return found


def settings_of(data_dir: Path) -> dict[str, str]:
    """Return the settings by which an application finds the database of this data folder."""
    if CHOSEN == SQLITE:
        return {}
    database = _databases.get(data_dir)
    if database is None:
        database = _databases[data_dir] = server(CHOSEN).create()
    return {"DATABASE_URL": server(CHOSEN).address(database)}


def copy_database(source: Path, target: Path) -> None:
    """Give one data folder a copy of the database of another; nobody may be connected to it."""
    if CHOSEN == SQLITE:
        shutil.copy(source / FILE, target / FILE)
    else:
        _databases[target] = server(CHOSEN).copy(_databases[source])


def give_back_database(data_dir: Path) -> None:
    """Let go of a database that `copy_database` made."""
    if CHOSEN != SQLITE:
        server(CHOSEN).give_back(_databases.pop(data_dir))


@pytest.fixture
def fresh_url(engine_name: str, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; the test says on which engines by `on_engines`."""
    if engine_name == SQLITE:
        yield f"sqlite:///{tmp_path / FILE}"
        return
    home = server(engine_name)
    database = home.create()
    yield home.address(database)
    home.drop(database)


def on_engines(*names: str) -> pytest.MarkDecorator:
    """Run a test once for each engine, whatever TEST_ENGINE says; it takes `engine_name`."""
    return pytest.mark.parametrize("engine_name", names or ENGINES)


_databases: dict[Path, str] = {}


def _drop_all(home: Server) -> None:
    for database in list(home.made):
        home.drop(database)
