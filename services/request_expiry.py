"""Requests whose time is over: they end when the clock comes by, or when somebody uses them."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_

from core.clock import isoformat, utc_now
from models.requests import ChangeRequest, RequestState
from services import request_log
from services.actors import system_actor
from services.transaction import repeatable, transaction


def over() -> ColumnElement[bool]:
    """Return the condition that a request has run out and nobody has noted it."""
    now = utc_now()
    return or_(
        and_(
            ChangeRequest.state == RequestState.PENDING,
            ChangeRequest.pending_expires_at.is_not(None),
            ChangeRequest.pending_expires_at <= now,
        ),
        and_(
            ChangeRequest.state == RequestState.APPROVED,
            ChangeRequest.approval_valid_until.is_not(None),
            ChangeRequest.approval_valid_until <= now,
        ),
    )


def is_over(*, request: ChangeRequest) -> bool:
    """Tell whether a request has run out, noted or not."""
    until = _until(request)
    return until is not None and until <= utc_now()


@repeatable()
def end_if_over(*, number: int) -> None:
    """End what nobody decided, and an approval that nobody used, in time."""
    with transaction():
        request = request_log.locked(number=number)
        until = _until(request)
        if until is None or not is_over(request=request):
            return
        request_log.move(
            actor=system_actor(),
            request=request,
            to=RequestState.EXPIRED,
            kind="expired",
            detail={"waited_until": isoformat(until)},
            closed_at=utc_now(),
        )


def _until(request: ChangeRequest) -> datetime | None:
    return {
        RequestState.PENDING: request.pending_expires_at,
        RequestState.APPROVED: request.approval_valid_until,
    }.get(request.state)
