"""`/events` and `/ws`: what happens, as it happens."""

from typing import Any

from flask import Response, request
from flask_restx import Namespace, Resource

from api import event_streams
from api.endpoint import endpoint
from api.event_streams import MEDIA_TYPE
from api.schemas.events import EventsQuery
from core.errors import ErrorCode
from services.actors import Actor
from services.events import Wish, site_id_of

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
        return event_streams.stream(wish_of(actor, query, request.headers.get(LAST_EVENT_ID)))


def wish_of(actor: Actor, query: dict[str, Any], header: str | None = None) -> Wish:
    """Return what a query asks for; the header counts when the query does not say it."""
    return Wish(
        topics=tuple(query.get("topics") or ()),
        site_id=site_id_of(actor=actor, slug=query.get("site")),
        last_event_id=query.get("last_event_id", header),
        limit=query.get("limit"),
        timeout_seconds=query.get("timeout_seconds"),
    )


def namespace() -> Namespace:
    """Return the routes of events."""
    routes = Namespace("events", description="What happens, as it happens", path="/")
    routes.add_resource(Events, "/events")
    return routes
