"""`/requests/{number}/<action>`: the moves of requests."""

from collections.abc import Callable
from typing import Any

from flask_restx import Namespace, Resource
from marshmallow import Schema

from api.endpoint import endpoint
from api.promotion_problems import shown_in_problem
from api.schemas.requests import (
    ApproveIn,
    CommentIn,
    OverrideIn,
    ReasonIn,
    RejectIn,
    RemarkIn,
    RequestOut,
)
from core.errors import ErrorCode
from models.requests import ChangeRequest
from services import (
    request_access,
    request_execution,
    request_guards,
    request_reviews,
    request_views,
    requests,
)
from services.actors import Actor
from services.request_moves import Action
from services.request_views import RequestView

REVIEW, WRITE, RUN = "requests:review", "requests:write", "requests:execute"
CALLS: dict[Action, tuple[str, type[Schema] | None, str, Callable[..., ChangeRequest]]] = {
    Action.SUBMIT: ("Submit a draft", None, WRITE, requests.submit),
    Action.APPROVE: ("Approve a request", ApproveIn, REVIEW, request_reviews.approve),
    Action.REJECT: ("Reject a request", RejectIn, REVIEW, request_reviews.reject),
    Action.WITHDRAW: ("Take one's approval back", ReasonIn, REVIEW, request_reviews.withdraw),
    Action.REQUEST_INFO: (
        "Ask the requester something",
        CommentIn,
        REVIEW,
        request_reviews.request_info,
    ),
    Action.ANSWER: ("Answer a reviewer", CommentIn, WRITE, requests.answer),
    Action.REVISE: ("Take a request back to change it", RemarkIn, WRITE, requests.revise),
    Action.EXECUTE: ("Carry out a request", None, "", request_execution.execute),
    Action.RETRY: ("Try a failed request again", None, "", request_execution.retry),
    Action.OVERRIDE: (
        "Approve alone in an emergency",
        OverrideIn,
        "requests:override",
        request_reviews.override,
    ),
    Action.RESOLVE: ("Call a general request done", RemarkIn, WRITE, request_reviews.resolve),
    Action.CANCEL: ("Give a request up", ReasonIn, "", requests.cancel),
}
"""Summary, body, the scope that nobody can do without, and the service."""
EXAMPLES: dict[Action, dict[str, object]] = {
    Action.REJECT: {"reason": "The prices are of last year."},
    Action.REQUEST_INFO: {"comment": "Who has read the new terms?"},
    Action.ANSWER: {"comment": "Ana has."},
    Action.OVERRIDE: {"reason": "The shop is down.", "password": "velvet tortoise 81 crane"},
}


def _resource(action: Action) -> type[Resource]:
    """Return the resource of one action."""
    summary, body, scope, call = CALLS[action]

    def guard(*, actor: Actor, number: int) -> None:
        request = request_access.find_request(actor=actor, number=number)
        request_guards.require_person(actor=actor, request=request, action=action)

    @endpoint(
        summary=summary,
        description="A wrong move is 409 with `allowed_actions`.",
        body=body,
        response=RequestOut,
        scopes=(scope,) if scope else (),
        guard=guard,
        errors=(
            ErrorCode.NOT_FOUND,
            ErrorCode.INVALID_TRANSITION,
            ErrorCode.APPROVAL_STALE,
            ErrorCode.SELF_APPROVAL,
        ),
        example=EXAMPLES.get(action),
    )
    def post(_self: Resource, actor: Actor, number: int, body: dict[str, Any]) -> RequestView:
        with shown_in_problem():
            request = call(actor=actor, number=number, **body)
        return request_views.describe(actor=actor, requests=[request])[0]

    name = "".join(part.title() for part in action.value.split("-"))
    return type(f"Request{name}", (Resource,), {"post": post, "__doc__": summary})


def add_routes(routes: Namespace) -> None:
    """Add one route for each action."""
    for action in CALLS:
        routes.add_resource(_resource(action), f"/<int:number>/{action.value}")
