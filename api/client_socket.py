"""The connection behind a stream: has the client gone, and does it keep up?

WSGI says nothing of this. gunicorn hands the socket to the application; under a server that does
not, a client that went away is only noticed when something is sent to it.
"""

import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import has_request_context, request

SEND_SECONDS = 10.0
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class ClientSocket:
    """The socket of one request, which still belongs to the server."""

    def __init__(self, environ: Mapping[str, Any]) -> None:  # Any: WSGI
        self._socket = _socket_of(environ)
        if self._socket is not None:
            # Nobody holds a thread for longer than this by not reading what it is sent.
            self._socket.settimeout(SEND_SECONDS)

    def is_gone(self) -> bool:
        """Tell whether the client has closed the connection."""
        return _is_gone(self._socket)

    def is_ready(self) -> bool:
        """Wait until something can be sent; False when the client does not read for too long."""
        if self._socket is None:
            return True
        found = _poll(self._socket, select.POLLOUT | select.POLLRDHUP, seconds=SEND_SECONDS)
        return bool(found & select.POLLOUT) and not found & _GONE

    def abandon(self) -> None:
        """End the connection, so that the server does not try to send the rest."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def client_is_gone() -> bool:
    """Tell whether whoever made the present call has closed the connection; False without one."""
    return has_request_context() and _is_gone(_socket_of(request.environ))


def _socket_of(environ: Mapping[str, Any]) -> socket.socket | None:
    found = environ.get("gunicorn.socket")
    return found if isinstance(found, socket.socket) else None


def _is_gone(connection: socket.socket | None) -> bool:
    return bool(_poll(connection, select.POLLRDHUP, seconds=0) & _GONE)


def _poll(connection: socket.socket | None, events: int, *, seconds: float) -> int:
    if connection is None:
        return 0
    if connection.fileno() < 0:
        return select.POLLNVAL
    poll = select.poll()
    poll.register(connection, events)
    return sum(found for _descriptor, found in poll.poll(seconds * 1000))
