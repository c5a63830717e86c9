"""Requests as callers see them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from models.engine import db
from models.promotions import Promotion
from models.requests import ChangeRequest, RequestReview, RequestState, Verdict
from services import request_access, request_facts, request_guards
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


@dataclass(frozen=True, kw_only=True)
class ReviewView:
    """One person's verdict; `counts` while it stands for the present revision."""

    reviewer: str
    revision: int
    verdict: str
    comment: str | None
    fingerprint: str | None
    created_at: datetime
    withdrawn_at: datetime | None
    counts: bool


COUNTED_AGAIN = (
    RequestState.PENDING,
    RequestState.NEEDS_INFO,
    RequestState.APPROVED,
    RequestState.FAILED,
)
"""The states in which approvals are still to be used, so that lost rights take them away."""
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
            approvals=len(
                _counted(request, approvals[request.id]) if request.id in approvals else ()
            ),
            tags=[tag.name for tag in request.tags],
            assignees=[user.username for user in request.assignees],
            promotion=promotions.get(request.id),
            error=_error(request),
            waits_for=request.postponed_code if request.state is RequestState.APPROVED else None,
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


def describe_reviews(
    *, request: ChangeRequest, reviews: Sequence[RequestReview]
) -> list[ReviewView]:
    """Return the views of verdicts on one request, with whether each counts now."""
    given = _approvals([request]).get(request.id, frozenset())
    counted = _counted(request, given) if given else frozenset()
    return [
        ReviewView(
            reviewer=review.user.username,
            revision=review.revision,
            verdict=review.verdict.value,
            comment=review.comment,
            fingerprint=review.fingerprint,
            created_at=review.created_at,
            withdrawn_at=review.withdrawn_at,
            counts=_counts(request, review, counted),
        )
        for review in reviews
    ]


def _counts(request: ChangeRequest, review: RequestReview, counted: frozenset[int]) -> bool:
    if review.revision != request.revision or review.withdrawn_at is not None:
        return False
    return review.verdict is not Verdict.APPROVE or review.user_id in counted


def _counted(request: ChangeRequest, given: frozenset[int]) -> frozenset[int]:
    """Return whose approval counts; once it was used or is of no use, whoever gave one."""
    if request.state not in COUNTED_AGAIN:
        return given
    rule = request_access.rule_of(request=request)
    return request_facts.counted_approvals(request=request, rule=rule)


def _approvals(requests: Sequence[ChangeRequest]) -> dict[int, frozenset[int]]:
    """Return who approved the present revision of each request and did not withdraw."""
    ids = [request.id for request in requests]
    rows = db.session.execute(
        select(RequestReview.request_id, RequestReview.user_id)
        .join(ChangeRequest, ChangeRequest.id == RequestReview.request_id)
        .where(
            RequestReview.request_id.in_(ids),
            RequestReview.revision == ChangeRequest.revision,
            RequestReview.verdict == Verdict.APPROVE,
            RequestReview.withdrawn_at.is_(None),
        )
    )
    found: dict[int, set[int]] = defaultdict(set)
    for request_id, user_id in rows:
        found[request_id].add(user_id)
    return {request_id: frozenset(users) for request_id, users in found.items()}
