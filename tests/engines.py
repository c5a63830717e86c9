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
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from config import normal_database_url
from models.engine import Base, engine_options
from models.registry import MODELS
from tests.services_guard import missing_service

SQLITE, POSTGRESQL, MARIADB = "sqlite", "postgresql", "mariadb"
ENGINES = (SQLITE, POSTGRESQL, MARIADB)
CHOSEN = os.environ.get("TEST_ENGINE", SQLITE)  # noqa: TID251 - tests have no settings
SERVERS = {
    POSTGRESQL: ("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres"),
    MARIADB: ("TEST_MARIADB_URL", "mariadb://root@127.0.0.1:3306/mysql"),
}
RUN = f"relevo_test_{os.getpid()}_{secrets.token_hex(3)}"
FILE = "relevo.db"

only_sqlite = pytest.mark.skipif(CHOSEN != SQLITE, reason="looks into the file of SQLite")

if CHOSEN not in ENGINES or not MODELS:
    raise RuntimeError(f"TEST_ENGINE must be one of {', '.join(ENGINES)}")


@dataclass
class Server:
    """A PostgreSQL or MariaDB on which databases are made and dropped."""

    name: str
    url: URL
    made: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)

    def create(self, template: str | None = None) -> str:
        """Make a database, empty or as a copy of `template`, and return its name."""
        database = f"{RUN}_{len(self.made)}"
        with self.administrator() as connection:
            if self.name == POSTGRESQL:
                copied = f"TEMPLATE {template}" if template else "TEMPLATE template0"
                encoding = "" if template else " ENCODING 'UTF8'"
                connection.execute(text(f"CREATE DATABASE {database} {copied}{encoding}"))
            else:
                connection.execute(text(f"CREATE DATABASE {database} CHARACTER SET utf8mb4"))
        self.made.append(database)
        return database

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        force = " WITH (FORCE)" if self.name == POSTGRESQL else ""
        with self.administrator() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {database}{force}"))
        self.made.remove(database)

    def copy(self, template: str) -> str:
        """Return a database with the tables and rows of `template`, made by this process."""
        if self.name == POSTGRESQL:
            return self.create(template)
        database = self.free.pop() if self.free else self._with_tables()
        with self.engine(database).begin() as connection:
            connection.execute(text("SET SESSION foreign_key_checks = 0"))
            for table in Base.metadata.tables:
                connection.execute(text(f"DELETE FROM {table}"))
                connection.execute(text(f"INSERT INTO {table} SELECT * FROM {template}.{table}"))
        return database

    def give_back(self, database: str) -> None:
        """Take a copy back that is not needed any more."""
        if self.name == POSTGRESQL:
            self.drop(database)
        else:
            self.free.append(database)

    def administrator(self) -> Connection:
        """Return a connection outside of any transaction to the server."""
        return self.engine(str(self.url.database), isolation_level="AUTOCOMMIT").connect()

    def engine(self, database: str, **options: object) -> Engine:
        """Return an engine without a pool."""
        url = self.address(database)
        return create_engine(
            url,
            connect_args=engine_options(url)["connect_args"],
            poolclass=NullPool,
            **options,
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
