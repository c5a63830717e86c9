"""What time does to requests: reminders, expiry, staleness, and running when their time has come.

Everything here looks again under the lock of the request, so that any number of workers may do
it at any time and as often as they like.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from core.clock import isoformat, utc_now
from core.errors import DomainError, ErrorCode
from models.engine import db
from models.promotions import PromotionState
from models.request_events import RequestEvent
from models.requests import ChangeRequest, RequestState, RequestType
from services import (
    access_grants,
    request_access,
    request_endings,
    request_execution,
    request_expiry,
    request_facts,
    request_log,
    request_reviews,
    request_targets,
    waiting_promotions,
)
from services.actors import system_actor
from services.transaction import end_reading, repeatable, transaction

logger = logging.getLogger("relevo.requests")

REMINDERS = (0.5, 0.9)
"""Shares of the time to decide after which reviewers are reminded."""
OVERDUE = "post_review_overdue"


def tick() -> None:
    """Do everything that is due; one request that cannot be handled does not stop the others."""
    now = utc_now()
    is_pending = ChangeRequest.state == RequestState.PENDING
    is_approved = ChangeRequest.state == RequestState.APPROVED
    request_targets.end_leftovers()
    _each(request_expiry.over(), _expire)
    _each(is_pending, _remind)
    _each(and_(is_pending, ChangeRequest.required_approvals > 0), _let_through)
    _each(is_approved, _check_facts)
    _each(ChangeRequest.state == RequestState.EXECUTING, _settle)
    _each(and_(is_approved, _is_due(now)), _run)
    _each(_needs_post_review(now), _note_overdue)
    access_grants.end_expired()


def _each(which: ColumnElement[bool], handle: Callable[[int], None]) -> None:
    numbers = db.session.scalars(select(ChangeRequest.id).where(which)).all()
    end_reading()
    for number in numbers:
        try:
            handle(number)
        except DomainError as refusal:
            details = {"number": number, "code": refusal.code.value}
            logger.warning("request not handled", extra=details)


def _is_due(now: datetime) -> ColumnElement[bool]:
    is_time = or_(ChangeRequest.scheduled_for.is_(None), ChangeRequest.scheduled_for <= now)
    runs = ChangeRequest.type != RequestType.GENERAL
    return and_(ChangeRequest.auto_execute.is_(True), is_time, runs)


def _needs_post_review(now: datetime) -> ColumnElement[bool]:
    told = select(RequestEvent.request_id).where(RequestEvent.kind == OVERDUE)
    return and_(
        ChangeRequest.post_review_due_at <= now,
        ChangeRequest.post_reviewed_at.is_(None),
        ChangeRequest.id.not_in(told),
    )


def _expire(number: int) -> None:
    request_expiry.end_if_over(number=number)


@repeatable()
def _remind(number: int) -> None:
    """Remind reviewers once at each share of the time to decide."""
    with transaction():
        request = request_log.locked(number=number)
        due = _reminders_due(request)
        if due <= request.reminders:
            return
        request_log.move(
            actor=system_actor(),
            request=request,
            to=request.state,
            kind="reminded",
            detail={"share": REMINDERS[due - 1]},
            reminders=due,
        )


def _reminders_due(request: ChangeRequest) -> int:
    start, end = request.submitted_at, request.pending_expires_at
    if request.state is not RequestState.PENDING or start is None or end is None:
        return 0
    whole = end - start
    passed = utc_now() - start
    return sum(1 for share in REMINDERS if passed >= whole * share)


@repeatable()
def _let_through(number: int) -> None:
    """Approve what waits for approvals that no policy asks for any more."""
    with transaction():
        request = request_log.locked(number=number)
        rule = request_access.rule_of(request=request)
        if request.state is RequestState.PENDING and rule.required_approvals == 0:
            changed = request_facts.changes_since(request=request, rule=rule)
            request_reviews.refresh(
                actor=system_actor(), request=request, rule=rule, changed=changed
            )


@repeatable()
def _check_facts(number: int) -> None:
    """Withdraw an approval whose circumstances are not those that were approved."""
    with transaction():
        request = request_log.locked(number=number)
        if request.state is not RequestState.APPROVED:
            return
        rule = request_access.rule_of(request=request)
        changed = request_execution.changes(request=request, rule=rule)
        if changed:
            request_endings.make_stale(actor=system_actor(), request=request, changed=changed)


@repeatable()
def _settle(number: int) -> None:
    """Close what is marked as running while nothing runs for it any more."""
    with transaction():
        request = request_log.locked(number=number)
        promotion = waiting_promotions.latest(request=request)
        if promotion is not None and promotion.state is PromotionState.RUNNING:
            return
        has_succeeded = promotion is not None and promotion.state is PromotionState.SUCCEEDED
        request_execution.promotion_ended(
            actor=system_actor(),
            request_id=number,
            promotion=promotion.number if promotion else 0,
            code=None if has_succeeded else ErrorCode.PROMOTION_FAILED,
        )


def _run(number: int) -> None:
    request_execution.run_if_due(number=number)


@repeatable()
def _note_overdue(number: int) -> None:
    """Tell once that nobody has looked at an emergency in time."""
    with transaction():
        request = request_log.locked(number=number)
        if request_log.has_event(request=request, kind=OVERDUE):
            return
        due = request.post_review_due_at
        request_log.note(
            actor=system_actor(),
            request=request,
            kind=OVERDUE,
            detail={"due_at": isoformat(due) if due else None},
        )
