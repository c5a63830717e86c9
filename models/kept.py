"""One connection for the single statements of one call, and what they found out."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine, Executable, Pool, Row
from sqlalchemy.exc import DBAPIError

from models.servers import answering_soon, unasked


class KeptConnection(threading.local):
    """The connection of a thread's last single statement, for its next one.

    Taking one from the pool and giving it back costs as much as a statement does. It holds nothing
    back between two statements, so the thread keeps it for the next call too. It is kept only
    where somebody will let go of it. On servers, where connections are few, it goes back before
    the thread waits or takes one for a session.
    """

    is_wanted = False
    connection: Connection | None = None
    is_proved = False
    """Whether the connection has shown in this call that it is alive."""
    _engine: Engine  # of the call; is_wanted says whether there is one
    _pool: Pool | None = None
    known: tuple[Any, ...] | None = None  # Any: it is the reader's
    """What was read for the door of a call, for the service behind it; forgotten with each wait."""

    def take(self) -> Connection:
        """Return the connection that is kept, or one from the pool.

        One that was kept from an earlier call goes back first: the pool asks whether it is alive.
        """
        if not self.is_proved:
            self.let_go()
        if self.connection is None:
            self.connection, self._pool = self._engine.connect(), self._engine.pool
            self.is_proved = True
        return self.connection

    def first(self, statement: Executable, values: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Read with the first statement of a call, which is its connection's sign of life too.

        A connection that is dead, or silent for as long as one waits for that, is replaced
        unnoticed, and all that are as old with it. Any: the reader knows the columns.
        """
        try:
            connection = self.connection
            if connection is None:
                with unasked():
                    connection = self.take()
            with answering_soon(connection):
                rows = connection.execute(statement, values).all()
        except DBAPIError as error:
            self.close()
            if not error.connection_invalidated:
                raise
            return self.take().execute(statement, values).all()
        self.is_proved = True
        return rows

    def begin(self, engine: Engine) -> None:
        """Keep from now on; what was kept of another pool, or of one disposed of, is closed."""
        self.is_wanted, self.is_proved, self.known, self._engine = True, False, None, engine
        if self.connection is not None and self._pool is not engine.pool:
            self.close()

    def rest(self) -> None:
        """End a call; what was found out is good for no other."""
        self.is_wanted, self.known = False, None

    def let_go(self) -> None:
        """Give the connection back to the pool, if somebody else could need it."""
        self.known = None
        if self.connection is not None and self.connection.dialect.name != "sqlite":
            self.close()

    def close(self) -> None:
        """Give the connection back to the pool, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


kept = KeptConnection()


class Session(FlaskSession):
    """The session of a request; takes a connection only after the kept one went back."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine. Any: SQLAlchemy's signature."""
        kept.let_go()
        return super().get_bind(*args, **kwargs)
