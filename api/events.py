"""`/events` and `/ws`: what happens, as it happens."""

from typing import Any

from flask import Flask, Response, request
from flask_restx import Namespace, Resource

from api import event_sockets, event_streams
from api.endpoint import endpoint
from api.event_streams import MEDIA_TYPE
from api.routing import API_PREFIX
from api.schemas.events import EventsQuery, SocketQuery, TicketOut
from api.security import Auth, credential_expires_at
from core.errors import ErrorCode
from services import event_tickets
from services.actors import Actor
from services.event_tickets import IssuedTicket
from services.events import Wish, site_id_of

SOCKET = "/ws"
HANDSHAKE = "event_socket"
LAST_EVENT_ID = "Last-Event-ID"


class Events(Resource):
    """The stream."""

    @endpoint(
        summary="Listen to events",
        description=(
            "Server-sent events: `event` is the topic, `data` a JSON object, `id` what to send as "
            "Last-Event-ID to go on behind it. `reset` says that events since then are gone, "
            "`overflow` that the client was too slow, `end` why the stream ends. Only what the "
            "caller may read is told. See docs/events.md."
        ),
        query=EventsQuery,
        produces=MEDIA_TYPE,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.UNAVAILABLE),
    )
    def get(self, actor: Actor, query: dict[str, Any]) -> Response:
        """Return the stream."""
        wish = wish_of(actor, query, request.headers.get(LAST_EVENT_ID))
        return event_streams.stream(wish, user_id=actor.user_id)


class Ticket(Resource):
    """Tickets for sockets."""

    @endpoint(
        summary="Make a ticket for a socket",
        description="Good once and for 30 seconds: GET /ws?ticket=... as a WebSocket.",
        response=TicketOut,
    )
    def post(self, actor: Actor) -> IssuedTicket:
        """Return the ticket."""
        return event_tickets.issue(actor=actor, credential_expires_at=credential_expires_at(actor))


class Socket(Resource):
    """The same events over a WebSocket."""

    @endpoint(
        summary="Listen to events over a WebSocket",
        description=(
            "Each message is a JSON object with `id`, `event` and `data`, as in GET /events. "
            "Nothing is to be sent. Closed with 4401 when the ticket or what is behind it does "
            "not count (any more), 4403 when rights changed, 1001, 1011 or 1013 to come back."
        ),
        query=SocketQuery,
        status=101,
        auth=Auth.NONE,
        guard=event_sockets.check_handshake,
        errors=(ErrorCode.UPGRADE_REQUIRED, ErrorCode.ORIGIN_REFUSED, ErrorCode.UNAVAILABLE),
    )
    def get(self, query: dict[str, Any]) -> Response:
        """Serve the socket until it is closed."""
        return event_sockets.serve(
            ticket=query.get("ticket"), wish_of=lambda actor: wish_of(actor, query)
        )


def wish_of(actor: Actor, query: dict[str, Any], header: str | None = None) -> Wish:
    """Return what a query asks for.

    The header wins over the query: a browser that comes back sends it with the first address.
    """
    return Wish(
        topics=tuple(query.get("topics") or ()),
        site_id=site_id_of(actor=actor, slug=query.get("site")),
        last_event_id=header or query.get("last_event_id"),
        limit=query.get("limit"),
        timeout_seconds=query.get("timeout_seconds"),
    )


def namespace() -> Namespace:
    """Return the routes of events."""
    routes = Namespace("events", description="What happens, as it happens", path="/")
    routes.add_resource(Events, "/events")
    routes.add_resource(Ticket, "/events/ticket")
    routes.add_resource(Socket, SOCKET)
    return routes


def register(app: Flask) -> None:
    """Route handshakes of sockets too: werkzeug keeps them apart from calls of the same address."""
    address = f"{API_PREFIX}{SOCKET}"
    plain = next(rule for rule in app.url_map.iter_rules() if rule.rule == address)
    view = app.view_functions[plain.endpoint]
    app.add_url_rule(address, endpoint=HANDSHAKE, view_func=view, methods=["GET"], websocket=True)
