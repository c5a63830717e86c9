"""Connections to MariaDB and MySQL; loaded only where DATABASE_URL asks for them."""

from contextlib import suppress
from functools import lru_cache
from typing import Any

import pymysql
from pymysql.constants import SERVER_STATUS
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from models.servers import (
    ANSWER_MARGIN_SECONDS,
    IDLE_TRANSACTION_SECONDS,
    LOCK_WAIT_SECONDS,
    MIGRATION_LOCK_WAIT_SECONDS,
    SQL_MODE,
    STATEMENT_SECONDS,
    ServerConnection,
)

COLUMNS_KNOWN = 2048

# With each answer the server describes its columns anew, in the same words.
_described = lru_cache(COLUMNS_KNOWN)(FieldDescriptorPacket)


class MariadbConnection(pymysql.connections.Connection, ServerConnection):
    """A connection on which no wait is endless.

    A statement stands alone until BEGIN is sent.
    """

    server_status: int  # PyMySQL sets it with each answer that carries one

    @property
    def limit_seconds(self) -> float | None:
        """How long an answer may take before the connection is given up; None for ever."""
        return self._read_timeout

    @limit_seconds.setter
    def limit_seconds(self, value: float | None) -> None:
        # The driver sets the socket anew, with a system call, wherever the two differ.
        self._read_timeout: float | None = value
        self._write_timeout: float = STATEMENT_SECONDS if value is None else value

    def _read_packet(self, packet_type: Any = MysqlPacket) -> MysqlPacket:
        """Read what the server says next; the description of a column is taken apart once."""
        if packet_type is FieldDescriptorPacket:
            packet_type = _described
        packet: MysqlPacket = super()._read_packet(packet_type)  # type: ignore[no-untyped-call]
        return packet

    def rollback(self) -> None:
        """Roll back what was begun; where nothing was, the server need not hear of it.

        Its last word tells. Only BEGIN begins something here, and that is answered with it. With a
        connection that is lost everything has ended that was begun on it.
        """
        if self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            try:
                super().rollback()
            except (pymysql.OperationalError, pymysql.InterfaceError):
                with suppress(pymysql.Error):  # it says so when it is closed already
                    self.close()

    def prepare(self) -> None:
        """Make the server strict, and limit what it does for us, and for how long."""
        self._set(
            sql_mode=f"'{SQL_MODE}'",
            time_zone="'+00:00'",
            innodb_lock_wait_timeout=LOCK_WAIT_SECONDS,
            lock_wait_timeout=LOCK_WAIT_SECONDS,
            **self._statement_limits(STATEMENT_SECONDS, IDLE_TRANSACTION_SECONDS),
        )
        with self.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.limit_seconds = STATEMENT_SECONDS + ANSWER_MARGIN_SECONDS

    def lift_limits(self) -> None:
        """Allow statements that take long, but no long wait for a lock that stops everybody."""
        self.limit_seconds = None
        limits = self._statement_limits(0, 0)
        self._set(lock_wait_timeout=MIGRATION_LOCK_WAIT_SECONDS, **limits)

    def is_alive(self) -> bool:
        """Tell whether the server answers on this connection."""
        try:
            self.ping(reconnect=False)
        except (pymysql.Error, OSError):
            return False
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


def connect(*arguments: Any, **named: Any) -> MariadbConnection:
    """Open a connection; Any: whatever the URL and the driver need."""
    return MariadbConnection(*arguments, **{**named, "autocommit": True})
