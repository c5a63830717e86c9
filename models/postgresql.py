"""Connections to PostgreSQL; loaded only where DATABASE_URL asks for them."""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

from core.clock import monotonic
from models.servers import (
    ANSWER_MARGIN_SECONDS,
    CONNECT_SECONDS,
    IDLE_TRANSACTION_SECONDS,
    LOCK_WAIT_SECONDS,
    MIGRATION_LOCK_WAIT_SECONDS,
    STATEMENT_SECONDS,
    ServerConnection,
)


class PostgresqlConnection(
    psycopg.Connection[tuple[Any, ...]],  # Any: rows of any statement
    ServerConnection,
):
    """A connection on which no wait is endless.

    A statement stands alone until BEGIN is sent.
    """

    limit_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer; close the connection when it does not come in time."""
        started, limit = monotonic(), self.limit_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if limit is not None and monotonic() - started >= limit:
                self.close()
            raise

    def rollback(self) -> None:
        """Roll back what was begun, if anything was; a lost connection has ended it."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                super().rollback()
            except psycopg.OperationalError:
                self.close()

    def prepare(self) -> None:
        """Limit what the server does for us, and for how long."""
        self.limit_seconds = CONNECT_SECONDS
        self._set(
            statement_timeout=f"{STATEMENT_SECONDS}s",
            lock_timeout=f"{LOCK_WAIT_SECONDS}s",
            idle_in_transaction_session_timeout=f"{IDLE_TRANSACTION_SECONDS}s",
            default_transaction_isolation="read committed",
            timezone="UTC",
        )
        self.limit_seconds = STATEMENT_SECONDS + ANSWER_MARGIN_SECONDS

    def lift_limits(self) -> None:
        """Allow statements that take long, but no long wait for a lock that stops everybody."""
        self.limit_seconds = None
        self._set(
            statement_timeout="0",
            lock_timeout=f"{MIGRATION_LOCK_WAIT_SECONDS}s",
            idle_in_transaction_session_timeout="0",
        )

    def is_alive(self) -> bool:
        """Tell whether the server answers on this connection."""
        try:
            self.execute(b"SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _set(self, **values: str) -> None:
        calls = ", ".join(["set_config(%s, %s, false)"] * len(values))
        words = [word for pair in values.items() for word in pair]
        self.execute(f"SELECT {calls}".encode(), words)


def connect(*arguments: Any, **named: Any) -> PostgresqlConnection:
    """Open a connection; Any: whatever the URL and the driver need."""
    return PostgresqlConnection.connect(*arguments, **{**named, "autocommit": True})
