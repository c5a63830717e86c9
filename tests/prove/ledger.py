"""What the database says, read beside the server and without its code."""

import itertools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text


class Ledger:
    """Reads one installation's SQLite file; every question has its own connection."""

    def __init__(self, database: Path) -> None:
        self._database = database

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA busy_timeout=5000")
            yield connection

    # Any: rows of different tables.
    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a statement."""
        with self._connected() as connection:
            return connection.execute(statement, values).fetchall()

    def number(self, statement: str, *values: object) -> int:
        """Return the single number that a statement gives."""
        return int(self.rows(statement, *values)[0][0])

    def promotions(self, comment: str) -> int:
        """Count the promotions with a comment."""
        return self.number("SELECT count(*) FROM promotions WHERE comment = ?", comment)

    def switched(self, comment: str) -> int:
        """Count the promotions with a comment that moved a pointer."""
        return self.number(
            "SELECT count(*) FROM promotions WHERE comment = ? AND result = 'switched'", comment
        )

    def is_sound(self) -> bool:
        """Let SQLite check its own file."""
        return self.rows("PRAGMA integrity_check") == [("ok",)]


class ServerLedger(Ledger):
    """Reads one installation's rows on PostgreSQL or MariaDB."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(
            database_url, isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True
        )

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a statement, which is written as for SQLite."""
        number = itertools.count()
        named = text(re.sub(r"\?", lambda _: f":value{next(number)}", statement))
        with self._engine.connect() as connection:
            if connection.dialect.name == "mysql":
                connection.exec_driver_sql("SET SESSION sql_mode = 'PIPES_AS_CONCAT'")
            found = connection.execute(named, {f"value{n}": v for n, v in enumerate(values)})
            return [tuple(row) for row in found]

    def is_sound(self) -> bool:
        """A server looks after its files by itself."""
        return True
