"""Emergencies: whoever overrode one is looked at afterwards, by somebody else."""

from dataclasses import dataclass

from core.clock import utc_now
from core.errors import ErrorCode, ForbiddenError
from models.requests import ChangeRequest, Verdict
from services import approvers, request_access, request_guards, request_log, request_verdicts
from services.actors import Actor
from services.transaction import repeatable, transaction


@dataclass(frozen=True, kw_only=True)
class PostReview:
    """What somebody else says of an emergency afterwards."""

    was_right: bool
    comment: str | None = None


@repeatable()
def review_afterwards(*, actor: Actor, number: int, review: PostReview) -> ChangeRequest:
    """Look at an overridden request afterwards; not for those who filed or overrode it.

    Raises:
        ForbiddenError: `self_approval`, or requests:review is missing.
        ConflictError: `invalid_transition`, no such review is due.
    """
    with transaction():
        found = require_post_reviewer(actor=actor, number=number)
        request = request_log.locked(number=found.number)
        if request.post_review_due_at is None or request.post_reviewed_at is not None:
            raise request_guards.wrong_move(
                actor=actor, request=request, detail="No review afterwards is due."
            )
        verdict = Verdict.POST_REVIEW_GOOD if review.was_right else Verdict.POST_REVIEW_BAD
        request_verdicts.write(
            actor=actor,
            request=request,
            verdict=verdict,
            comment=review.comment,
            post_review=True,
        )
        request_log.move(
            actor=actor,
            request=request,
            to=request.state,
            kind="post_reviewed",
            detail={"verdict": verdict.value, "comment": review.comment},
            post_reviewed_at=utc_now(),
        )
    return request


def require_post_reviewer(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request that the actor may review afterwards.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: `self_approval`, or requests:review is missing.
    """
    request = request_access.find_request(actor=actor, number=number)
    held = request_access.scopes_on(actor=actor, site=request.site)
    required = [approvers.REVIEW]
    unreached = request_access.out_of_reach(
        actor=actor, kind=request.type, environment=request.environment, scope=approvers.REVIEW
    )
    if unreached is not None:
        raise unreached
    if actor.user_id is None or approvers.REVIEW not in held:
        raise ForbiddenError.missing_scopes(required=required, missing=sorted({*required} - held))
    if actor.user_id in _involved(request):
        raise ForbiddenError(
            "Who filed or overrode a request does not review it afterwards.",
            code=ErrorCode.SELF_APPROVAL,
            members={"required": required, "missing": []},
        )
    return request


def may_review_afterwards(*, actor: Actor, request: ChangeRequest) -> bool:
    """Tell whether this emergency waits for a review that the actor may give."""
    if request.post_review_due_at is None or request.post_reviewed_at is not None:
        return False
    held = request_access.scopes_on(actor=actor, site=request.site)
    is_free = actor.user_id is not None and actor.user_id not in _involved(request)
    unreached = request_access.out_of_reach(
        actor=actor, kind=request.type, environment=request.environment, scope=approvers.REVIEW
    )
    return is_free and unreached is None and approvers.REVIEW in held


def _involved(request: ChangeRequest) -> tuple[int | None, ...]:
    overrider = request_log.last_actor(request=request, kind="overridden")
    return request.requester_id, request.beneficiary_id, overrider
