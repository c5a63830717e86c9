"""Verdicts as rows: one that stands for each person and revision, and all that were withdrawn."""

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ErrorCode, ForbiddenError
from models.engine import db
from models.requests import STANDING, ChangeRequest, RequestReview, Verdict
from services.actors import Actor


def standing(*, actor: Actor, request: ChangeRequest) -> RequestReview | None:
    """Return the actor's verdict on the present revision, unless it was withdrawn."""
    return db.session.scalar(
        select(RequestReview).where(
            RequestReview.request_id == request.id,
            RequestReview.revision == request.revision,
            RequestReview.user_id == actor.user_id,
            RequestReview.post_review.is_(False),
            RequestReview.withdrawn_at.is_(None),
        )
    )


def write(
    *,
    actor: Actor,
    request: ChangeRequest,
    verdict: Verdict,
    comment: str | None,
    post_review: bool = False,
) -> None:
    """Write a verdict; the database refuses a second one that stands. Call inside a transaction.

    Raises:
        ForbiddenError: the actor is no person.
    """
    if actor.user_id is None:
        raise ForbiddenError("A verdict is a person's.", code=ErrorCode.SESSION_REQUIRED)
    db.session.add(
        RequestReview(
            request_id=request.id,
            revision=request.revision,
            user_id=actor.user_id,
            post_review=post_review,
            slot=STANDING,
            verdict=verdict,
            comment=comment,
            fingerprint=request.fingerprint,
            created_at=utc_now(),
        )
    )


def take_back(*, actor: Actor, request: ChangeRequest) -> None:
    """Withdraw the actor's verdict, which stays as a row; call inside a transaction."""
    review = standing(actor=actor, request=request)
    if review is not None:
        review.withdrawn_at, review.slot = utc_now(), None
