"""One connection for all the statements with which a thread answers one reading call."""

import threading
from typing import Any

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine


class KeptConnection(threading.local):
    """The connection of a thread's last single statement, for its next one.

    Taking one from the pool and giving it back costs as much as a statement does. It is kept only
    where somebody will let go of it, and never beside the connection of a session.
    """

    is_wanted = False
    connection: Connection | None = None

    def let_go(self) -> None:
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
