"""Counters of calls, shared by all processes of a node through one small SQLite file.

The file is a cache: it may be deleted at any time and is never waited for on disk. Limits over
several nodes need Redis: `core/shared_rates.py`.
"""

import os
import sqlite3
import threading
import time
from pathlib import Path

from limits.errors import StorageError
from limits.storage import Storage

BUSY_TIMEOUT_SECONDS = 0.25
PURGE_EVERY = 2_000
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (
    key TEXT PRIMARY KEY, count INTEGER NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID
"""
_HIT = """
INSERT INTO counters (key, count, expires_at) VALUES (:key, :amount, :now + :window)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN expires_at <= :now THEN :amount ELSE count + :amount END,
    expires_at = CASE WHEN expires_at <= :now THEN :now + :window ELSE expires_at END
RETURNING count, expires_at
"""


class SqliteStorage(Storage):
    """Fixed windows in SQLite: one atomic statement for each call."""

    STORAGE_SCHEME = ["relevo-sqlite"]

    def __init__(
        self, uri: str | None = None, *, path: Path, wrap_exceptions: bool = False
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._path = path
        self._local = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    def hit(self, key: str, window_seconds: int, amount: int = 1) -> tuple[int, float]:
        """Count `amount` more and return the count and the moment at which the window ends.

        Raises:
            StorageError: the file is busy, unwritable or damaged; a damaged one is removed.
        """
        parameters = {"key": key, "amount": amount, "now": time.time(), "window": window_seconds}
        try:
            connection = self._connection()
            count, expires_at = connection.execute(_HIT, parameters).fetchall()[0]
            self._purge_sometimes(connection)
        except sqlite3.Error as error:
            self._remove_if_damaged(error)
            raise StorageError(error) from error
        return int(count), float(expires_at)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.hit(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return int(self._row(key)[0])

    def get_expiry(self, key: str) -> float:
        return self._row(key)[1]

    def check(self) -> bool:
        try:
            self._connection().execute("SELECT 1 FROM counters LIMIT 1").fetchall()
        except sqlite3.Error:
            return False
        return True

    def reset(self) -> int | None:
        return self._connection().execute("DELETE FROM counters").rowcount

    def clear(self, key: str) -> None:
        self._connection().execute("DELETE FROM counters WHERE key = ?", (key,))

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        row = (
            self._connection()
            .execute("SELECT count, expires_at FROM counters WHERE key = ?", (key,))
            .fetchone()
        )
        return (row[0], row[1]) if row and row[1] > now else (0, now)

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; one opened before a fork is never used after it."""
        opened: tuple[int, sqlite3.Connection] | None = getattr(self._local, "opened", None)
        if opened is not None and opened[0] == os.getpid():
            return opened[1]
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, cached_statements=16
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        self._local.opened = (os.getpid(), connection)
        self._local.calls = 0
        return connection

    def _remove_if_damaged(self, error: sqlite3.Error) -> None:
        if getattr(error, "sqlite_errorcode", None) not in DAMAGED:
            return
        self._local.opened = None
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _purge_sometimes(self, connection: sqlite3.Connection) -> None:
        self._local.calls += 1
        if self._local.calls % PURGE_EVERY == 0:
            connection.execute("DELETE FROM counters WHERE expires_at <= ?", (time.time(),))
