"""Requests as callers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from models.engine import db
from models.promotions import Promotion
from models.requests import ChangeRequest, RequestReview, Verdict
from services import request_guards
from services.actors import Actor
from services.request_standing import Viewer


@dataclass(frozen=True, kw_only=True)
class RequestError:
    """Why carrying a request out failed."""

    code: str
    detail: str | None


@dataclass(frozen=True, kw_only=True)
class RequestView:
    """One request; people by name, promotion by number, and what the caller may do."""

    number: int
    type: str
    state: str
    title: str
    body: str
    priority: str
    emergency: bool
    requester: str | None
    via: str
    site: str | None
    environment: str | None
    payload: dict[str, object]
    revision: int
    fingerprint: str | None
    facts: dict[str, object]
    changed: list[dict[str, object]] | None
    required_approvals: int
    approvals: int
    tags: list[str]
    assignees: list[str]
    auto_execute: bool
    attempts: int
    promotion: int | None
    result: dict[str, object] | None
    error: RequestError | None
    waits_for: str | None
    closed_reason: str | None
    due_at: datetime | None
    scheduled_for: datetime | None
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None
    pending_expires_at: datetime | None
    approved_at: datetime | None
    approval_valid_until: datetime | None
    post_review_due_at: datetime | None
    post_reviewed_at: datetime | None
    closed_at: datetime | None
    allowed_actions: list[str]
    version: int


SAME = (
    "title", "body", "emergency", "via", "environment", "revision", "fingerprint", "facts",
    "changed", "required_approvals", "auto_execute", "attempts", "result", "closed_reason",
    "due_at", "scheduled_for", "created_at", "updated_at", "submitted_at", "pending_expires_at",
    "approved_at", "approval_valid_until", "post_review_due_at", "post_reviewed_at", "closed_at",
    "number", "version",
)  # fmt: skip
"""What is shown as the row has it."""


def describe(*, actor: Actor, requests: Sequence[ChangeRequest]) -> list[RequestView]:
    """Return the views of `requests` for one caller."""
    promotions = _promotions(requests)
    approvals = _approvals(requests)
    viewer = Viewer(actor)
    return [
        RequestView(
            **{name: getattr(request, name) for name in SAME},
            type=request.type.value,
            state=request.state.value,
            priority=request.priority.value,
            requester=request.requester.username if request.requester else None,
            site=request.site_slug,
            payload=_payload(request),
            approvals=approvals.get((request.id, request.revision), 0),
            tags=[tag.name for tag in request.tags],
            assignees=[user.username for user in request.assignees],
            promotion=promotions.get(request.id),
            error=_error(request),
            waits_for=request.postponed_code,
            allowed_actions=request_guards.allowed_actions(
                actor=actor, request=request, viewer=viewer
            ),
        )
        for request in requests
    ]


def _payload(request: ChangeRequest) -> dict[str, object]:
    """Return what is asked for; the user by their present name, which the row does not keep."""
    if request.beneficiary is None:
        return request.payload
    return {"username": request.beneficiary.username, **request.payload}


def _error(request: ChangeRequest) -> RequestError | None:
    if request.error_code is None:
        return None
    return RequestError(code=request.error_code, detail=request.error_detail)


def _promotions(requests: Sequence[ChangeRequest]) -> dict[int, int]:
    """Return the number of the newest promotion of each request."""
    ids = [request.id for request in requests]
    rows = db.session.execute(
        select(Promotion.request_id, func.max(Promotion.number))
        .where(Promotion.request_id.in_(ids))
        .group_by(Promotion.request_id)
    )
    return {request_id: number for request_id, number in rows if request_id is not None}


def _approvals(requests: Sequence[ChangeRequest]) -> dict[tuple[int, int], int]:
    """Return how many approvals each revision has; whether they still count is asked later."""
    ids = [request.id for request in requests]
    rows = db.session.execute(
        select(RequestReview.request_id, RequestReview.revision, func.count())
        .where(
            RequestReview.request_id.in_(ids),
            RequestReview.verdict == Verdict.APPROVE,
            RequestReview.withdrawn_at.is_(None),
        )
        .group_by(RequestReview.request_id, RequestReview.revision)
    )
    return {(request_id, revision): count for request_id, revision, count in rows}
