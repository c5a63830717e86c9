"""Events as a stream of server-sent events."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from flask import Response, current_app, request, stream_with_context

from api.client_socket import ClientSocket
from api.schemas.events import EventOut
from api.security import Auth, identify
from core.draining import is_draining
from core.errors import ThrottledError, UnauthenticatedError, UnavailableError
from core.waiting import waiting_place, waiting_places
from services.actors import Actor
from services.event_reader import EventReader
from services.events import EndReason, Signal, SignalKind, Wish, listen

MEDIA_TYPE = "text/event-stream"
READER = "relevo.event_reader"
RECONNECT_MILLISECONDS = 2_000
BUSY_SECONDS = 10
_EVENT = EventOut()


def event_reader() -> EventReader:
    """Return the reader of the running application."""
    reader = current_app.extensions[READER]
    if not isinstance(reader, EventReader):
        raise TypeError("the application was made without a reader of events")
    return reader


def stream(wish: Wish, *, user_id: int | None) -> Response:
    """Answer with a stream; what it begins with is decided before the answer begins.

    Raises:
        UnavailableError: too many wait already.
        ThrottledError: this user listens as often as one may.
    """
    if request.method == "HEAD":
        return Response(mimetype=MEDIA_TYPE)
    client = ClientSocket(request.environ)
    with ExitStack() as stack:
        take_place(stack)
        take_share(stack, user_id)
        signals = listen(
            reader=event_reader(),
            identify=_present_actor,
            wish=wish,
            interruption=lambda: interruption(is_gone=client.is_gone()),
        )
        stack.callback(signals.close)
        lines = _lines(next(signals), signals, client)
        response = Response(stream_with_context(lines), mimetype=MEDIA_TYPE)
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold it back
        response.call_on_close(stack.pop_all().close)
    return response


def take_place(stack: ExitStack) -> None:
    """Take one of the places to wait until the stack is closed.

    Raises:
        UnavailableError: none is free.
    """
    if not stack.enter_context(waiting_place()):
        raise UnavailableError(
            "Too many requests wait or listen here just now; try again soon.",
            retry_after_seconds=BUSY_SECONDS,
        )


def take_share(stack: ExitStack, user_id: int | None) -> None:
    """Count a listener of one user until the stack is closed.

    Raises:
        ThrottledError: this user listens as often as one may.
    """
    if user_id is None or stack.enter_context(waiting_places().share_of(user_id)):
        return
    raise ThrottledError(
        "You listen here as often as one user may; end another stream first.",
        retry_after_seconds=BUSY_SECONDS,
    )


def interruption(*, is_gone: bool) -> str | None:
    """Return why a stream has to end from this side, if it has to."""
    if is_gone:
        return EndReason.GONE
    return EndReason.SHUTDOWN if is_draining() else None


def document(signal: Signal) -> dict[str, Any]:
    """Return what is told, as JSON."""
    if signal.event is not None:
        written: dict[str, Any] = _EVENT.dump(signal.event)
        return written
    return {} if signal.reason is None else {"reason": str(signal.reason)}


def name(signal: Signal) -> str:
    """Return the name of what is told: the topic of an event, or the kind of signal."""
    return signal.kind.value if signal.event is None else signal.event.action


def _lines(first: Signal, rest: Iterator[Signal], client: ClientSocket) -> Iterator[str]:
    yield f"retry: {RECONNECT_MILLISECONDS}\n"
    yield _text(first)
    for signal in rest:
        if signal.reason == EndReason.GONE or not client.is_ready():
            client.abandon()
            return
        yield _text(signal)


def _text(signal: Signal) -> str:
    """Write one signal. A comment has no event, but its id is kept: clients come back with it."""
    if signal.kind in (SignalKind.READY, SignalKind.HEARTBEAT):
        return f": {signal.kind.value}\nid: {signal.cursor}\n\n"
    data = json.dumps(document(signal), ensure_ascii=False, separators=(",", ":"))
    return f"id: {signal.cursor}\nevent: {name(signal)}\ndata: {data}\n\n"


def _present_actor() -> Actor:
    identity = identify(Auth.REQUIRED)
    if identity.actor is None:
        raise identity.refusal or UnauthenticatedError("The token is not valid.")
    return identity.actor
