"""`/requests`: filed, listed, shown and changed."""

from typing import Any

from flask_restx import Namespace, Resource
from marshmallow import ValidationError

from api import request_actions, request_parts
from api.endpoint import endpoint
from api.operation import Paging
from api.representations import Answer
from api.schemas.request_payloads import read_payload
from api.schemas.request_stats import RequestStatsOut, RequestStatsQuery
from api.schemas.requests import (
    InboxQuery,
    RequestIn,
    RequestOut,
    RequestPatch,
    RequestsQuery,
)
from api.validation import field_errors, refuse
from core.errors import ErrorCode
from services import inbox, request_edits, request_stats, request_views, requests
from services.actors import Actor
from services.paging import Page, PageRequest
from services.request_edits import RequestChange
from services.request_stats import RequestStats, StatsFilter
from services.request_views import RequestView
from services.requests import RequestFilter, RequestOrder

EXAMPLE = {
    "type": "promotion",
    "title": "Publish the Easter page",
    "site": "starter",
    "environment": "main",
    "payload": {"from": "test"},
}


def current_request(*, actor: Actor, number: int) -> RequestView:
    """Return a request in its present form."""
    request = requests.get_request(actor=actor, number=number)
    return request_views.describe(actor=actor, requests=[request])[0]


def own_request(*, actor: Actor, number: int) -> None:
    """Refuse changes by anybody but the requester, before the body is read."""
    request_edits.require_own(actor=actor, number=number)


class RequestList(Resource):
    """All requests the caller may see."""

    @endpoint(
        summary="List requests",
        query=RequestsQuery,
        response=RequestOut,
        paging=Paging.PAGE,
        csv=True,
        scopes=("requests:read",),
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return requests, newest first."""
        found = requests.list_requests(actor=actor, page=page, wanted=RequestFilter(**query))
        return found.with_items(request_views.describe(actor=actor, requests=found.items))

    @endpoint(
        summary="File a request",
        description="Submitted at once unless `draft`. Where no policy asks for approval it is "
        "approved at once, with `required_approvals: 0`.",
        body=RequestIn,
        response=RequestOut,
        status=201,
        scopes=("requests:write",),
        errors=(
            ErrorCode.NOT_FOUND,
            ErrorCode.NO_ELIGIBLE_APPROVER,
            ErrorCode.UNSUPPORTED_REQUEST,
            ErrorCode.RELEASE_NOT_READY,
        ),
        example=EXAMPLE,
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """File the request."""
        request = requests.file_request(actor=actor, order=RequestOrder(**body))
        view = request_views.describe(actor=actor, requests=[request])[0]
        return Answer(value=view, location=f"/requests/{request.number}")


class RequestInbox(Resource):
    """What waits for the caller."""

    @endpoint(
        summary="List what waits for me",
        description="To approve, to review afterwards, to answer, to carry out, or assigned.",
        query=InboxQuery,
        response=RequestOut,
        paging=Paging.PAGE,
        scopes=("requests:read",),
    )
    def get(self, actor: Actor, page: PageRequest) -> Page[Any]:
        """Return what waits, newest first."""
        found = inbox.inbox(actor=actor, page=page)
        return found.with_items(request_views.describe(actor=actor, requests=found.items))


class RequestStatistics(Resource):
    """How fast requests are answered, decided and done."""

    @endpoint(
        summary="Show figures about requests",
        query=RequestStatsQuery,
        response=RequestStatsOut,
        csv=True,
        scopes=("requests:read",),
    )
    def get(self, actor: Actor, query: dict[str, Any]) -> RequestStats:
        """Return the figures of the requests the caller may see."""
        return request_stats.collect(actor=actor, wanted=StatsFilter(**query))


class RequestItem(Resource):
    """One request."""

    @endpoint(
        summary="Show a request",
        description="With requests:read. Whoever filed it reads it with requests:write as well.",
        response=RequestOut,
        guard=request_parts.readable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, number: int) -> RequestView:
        """Return the request."""
        return current_request(actor=actor, number=number)

    @endpoint(
        summary="Change a request",
        description="What reviewers judge (title, body, payload, `scheduled_for`, `auto_execute`) "
        "is changed in a draft, and before anybody has voted; the fingerprint follows. With a "
        "vote, revise first. The environment is changed in a draft only.",
        body=RequestPatch,
        response=RequestOut,
        scopes=("requests:write",),
        guard=own_request,
        current=current_request,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_TRANSITION),
        example={"priority": "high"},
    )
    def patch(
        self, actor: Actor, number: int, body: dict[str, Any], expected_version: int | None
    ) -> RequestView:
        """Change the request."""
        if "payload" in body:
            kind = requests.get_request(actor=actor, number=number).type
            try:
                body["payload"] = read_payload(kind, body["payload"])
            except ValidationError as error:
                refuse(field_errors(error.messages))
        request_edits.update_request(
            actor=actor,
            number=number,
            change=RequestChange(**body),
            expected_version=expected_version,
        )
        return current_request(actor=actor, number=number)


def namespace() -> Namespace:
    """Return the routes of `/requests`."""
    routes = Namespace("requests", description="Petitions and their review", path="/requests")
    routes.add_resource(RequestList, "")
    routes.add_resource(RequestInbox, "/inbox")
    routes.add_resource(RequestStatistics, "/stats")
    routes.add_resource(RequestItem, "/<int:number>")
    request_actions.add_routes(routes)
    request_parts.add_routes(routes)
    return routes
