"""Events over a WebSocket.

simple-websocket speaks the protocol. It is what flask-sock is made of, and used without it: the
handshake can then be refused like any other call, with a status and a reason.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import simple_websocket
from flask import Response, request
from simple_websocket.ws import Server
from wsproto.utilities import ProtocolError

from api.client_socket import ClientSocket
from api.event_streams import document, event_reader, interruption, name, take_place, take_share
from api.security import client_address
from core.errors import DomainError, ErrorCode, ThrottledError, UnauthenticatedError
from core.logs import request_id
from core.settings import current_settings
from services.actors import Actor
from services.event_tickets import redeem
from services.events import EndReason, Signal, SignalKind, Wish, listen

SOCKET = "gunicorn.socket"
PING_SECONDS = 25
MAX_MESSAGE_BYTES = 1_024
GOODBYE_SECONDS = 1.0
CREDENTIAL_ENDED, RIGHTS_ENDED = 4401, 4403
TRY_AGAIN, UNEXPECTED_DATA, GOING_AWAY, FAILED, NORMAL = 1013, 1003, 1001, 1011, 1000
CLOSE_CODES: dict[str, int] = {
    EndReason.LIMIT: NORMAL,
    EndReason.TIMEOUT: NORMAL,
    EndReason.SHUTDOWN: GOING_AWAY,
    EndReason.UNAVAILABLE: FAILED,
    EndReason.RIGHTS_CHANGED: RIGHTS_ENDED,
}
UNEXPECTED = "unexpected_data"
HANDSHAKE_HEADERS = ("Sec-WebSocket-Key", "Sec-WebSocket-Version")


class UpgradeRequiredError(DomainError):
    """This address is for sockets only."""

    code = ErrorCode.UPGRADE_REQUIRED


class OriginRefusedError(DomainError):
    """A page of another origin opens a socket."""

    code = ErrorCode.ORIGIN_REFUSED


class Used(Response):
    """The answer of a call whose connection was used up: gunicorn is told to send nothing."""

    def __call__(self, *_arguments: object) -> Any:  # Any: never returns
        raise StopIteration


def check_handshake(**_path: object) -> None:
    """Refuse what is no handshake, and pages of other origins: a guard of the operation.

    Raises:
        UpgradeRequiredError: the call asks for no socket, or the server has none to give.
        OriginRefusedError: a page of an origin that CORS_ORIGINS does not name.
    """
    asks = request.headers.get("Upgrade", "").lower() == "websocket"
    is_complete = all(name in request.headers for name in HANDSHAKE_HEADERS)
    if not asks or not is_complete or SOCKET not in request.environ:
        raise UpgradeRequiredError(
            "Open this address as a WebSocket; without one, listen to GET /api/v1/events."
        )
    origin = request.headers.get("Origin")
    if origin is not None and origin.rstrip("/") not in _own_origins():
        raise OriginRefusedError("Pages of this origin may not listen; see CORS_ORIGINS.")


def serve(*, ticket: str | None, wish_of: Callable[[Actor], Wish]) -> Response:
    """Tell events until one side ends it; what is wrong with the ticket is told by the close.

    Raises:
        UnavailableError: too many wait already.
        UpgradeRequiredError: the handshake is broken.
    """
    with ExitStack() as stack:
        take_place(stack)
        client = ClientSocket(request.environ)
        wire = _accept()
        stack.callback(_hang_up, wire, client)
        _close(wire, *_tell(wire, client, ticket, wish_of))
    return Used(status=101)


def _tell(
    wire: Server, client: ClientSocket, ticket: str | None, wish_of: Callable[[Actor], Wish]
) -> tuple[int, str]:
    """Return the code and the reason with which to close."""
    with ExitStack() as stack:
        return _tell_holder(wire, client, stack, ticket, wish_of)


def _tell_holder(
    wire: Server,
    client: ClientSocket,
    stack: ExitStack,
    ticket: str | None,
    wish_of: Callable[[Actor], Wish],
) -> tuple[int, str]:
    try:
        holder = redeem(ticket=ticket or "")
        address, number = client_address(), request_id()
        actor = holder.actor(address=address, request_id=number)
        take_share(stack, actor.user_id)
        signals = listen(
            reader=event_reader(),
            identify=lambda: holder.actor(address=address, request_id=number),
            wish=wish_of(actor),
            interruption=lambda: _interruption(wire, client),
        )
        return _send_all(wire, client, signals)
    except UnauthenticatedError as refusal:
        return CREDENTIAL_ENDED, refusal.code.value
    except ThrottledError as refusal:
        return TRY_AGAIN, refusal.code.value
    except DomainError as refusal:
        return RIGHTS_ENDED, refusal.code.value


def _send_all(wire: Server, client: ClientSocket, signals: Any) -> tuple[int, str]:
    # Any: a generator of Signal, which has a close() that Iterator lacks
    reason, code = str(EndReason.GONE), NORMAL
    try:
        for signal in signals:
            reason = str(signal.reason or signal.kind)
            if signal.kind is SignalKind.END:
                code = CLOSE_CODES.get(reason, CREDENTIAL_ENDED)
                break
            if signal.kind is SignalKind.OVERFLOW:
                code = TRY_AGAIN
                break
            if not client.is_ready():
                client.abandon()
                break
            wire.send(_text(signal))
    except (simple_websocket.ConnectionClosed, OSError):
        client.abandon()
    finally:
        signals.close()
    return code, reason


def _text(signal: Signal) -> str:
    written = {"id": str(signal.cursor), "event": name(signal), "data": document(signal)}
    return json.dumps(written, ensure_ascii=False, separators=(",", ":"))


def _interruption(wire: Server, client: ClientSocket) -> str | None:
    if wire.input_buffer:
        return UNEXPECTED
    return interruption(is_gone=not wire.connected or client.is_gone())


def _accept() -> Server:
    environ = {**request.environ, SOCKET: _WholeMessages(request.environ[SOCKET])}
    try:
        return Server.accept(
            environ,
            ping_interval=PING_SECONDS,
            max_message_size=MAX_MESSAGE_BYTES,
            thread_class=_Background,
        )
    except (ProtocolError, simple_websocket.ConnectionError) as error:
        raise UpgradeRequiredError("This is no handshake of a WebSocket.") from error


def _close(wire: Server, code: int, reason: str) -> None:
    if reason == UNEXPECTED:
        code = UNEXPECTED_DATA
    with suppress(simple_websocket.ConnectionClosed, ProtocolError, OSError):
        wire.close(code, reason)


def _hang_up(wire: Server, client: ClientSocket) -> None:
    """Give the other side a moment to answer the close, then end the connection and its thread."""
    wire.thread.join(GOODBYE_SECONDS)
    client.abandon()
    wire.thread.join(GOODBYE_SECONDS)


def _own_origins() -> set[str]:
    settings = current_settings()
    return {settings.public_url, request.host_url.rstrip("/"), *settings.cors_origins}


class _Background(threading.Thread):
    """The thread that reads: it must not keep the process from ending."""

    def __init__(self, *, target: Callable[[], None]) -> None:
        super().__init__(target=target, daemon=True)


class _WholeMessages:
    """A socket whose `send` sends everything, and one message at a time.

    simple-websocket calls `send` from two threads and does not look at how much was taken.
    """

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped
        self._turn = threading.Lock()

    def send(self, data: bytes) -> int:
        with self._turn:
            self._wrapped.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._wrapped.recv(size)

    def fileno(self) -> int:
        return self._wrapped.fileno()

    def close(self) -> None:
        """Leave it to the server, whose socket it is."""
