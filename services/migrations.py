"""One migration of a database at a time, whoever starts it."""

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from core.clock import monotonic
from core.errors import UnavailableError
from services.transaction import write_turn

WAIT_SECONDS = 600
POLL_SECONDS = 0.2
TAKE = {
    "postgresql": "SELECT pg_try_advisory_lock(:number)",
    "mysql": "SELECT GET_LOCK(:name, 0)",
}


@contextmanager
def migration_turn(engine: Engine, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Be the only one that changes the tables of this database.

    The lock belongs to a connection (on SQLite to an open file), so it ends with its holder.

    Raises:
        UnavailableError: somebody else did not finish in time.
    """
    if engine.dialect.name == "sqlite":
        with write_turn(engine):
            yield
        return
    with engine.connect() as connection:
        connection.detach()
        _take(connection, wait_seconds)
        yield


def _take(connection: Connection, wait_seconds: float) -> None:
    deadline = monotonic() + wait_seconds
    name = f"relevo migration of {connection.engine.url.database}"[:64]
    statement = text(TAKE[connection.dialect.name])
    named = {"number": zlib.crc32(name.encode())} if ":number" in statement.text else {"name": name}
    while not connection.scalar(statement, named):
        if monotonic() >= deadline:
            raise UnavailableError("Another migration of this database is running.")
        time.sleep(POLL_SECONDS)
    connection.commit()
