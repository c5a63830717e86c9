"""Whether somebody may do something to a request now, and why not."""

from collections.abc import Iterable

from sqlalchemy import select

from core.clock import isoformat, utc_now
from core.errors import ConflictError, ErrorCode, ForbiddenError
from models.engine import db
from models.requests import ChangeRequest, RequestState, RequestType
from models.roles import Role
from services import access, approvers, request_access, request_moves
from services.actors import Actor
from services.approval_rules import Rule
from services.grants import require_held
from services.request_moves import Action, Move, Party

NEEDED: dict[Party, str] = {
    Party.REVIEWER: approvers.REVIEW,
    Party.REJECTER: approvers.REVIEW,
    Party.VOTER: approvers.REVIEW,
    Party.EXECUTOR: request_access.RUN,
    Party.OVERRIDER: request_access.OVERRIDE,
    Party.REQUESTER: request_access.FILE,
    Party.ADMIN: "admin",
}
JUDGING = frozenset({Action.APPROVE, Action.REJECT, Action.OVERRIDE, Action.REQUEST_INFO})


def require(*, actor: Actor, request: ChangeRequest, action: Action) -> Rule:
    """Refuse unless the actor may do this to the request now; returns the rule that holds.

    Raises:
        ForbiddenError: `self_approval`, or a scope is missing.
        ConflictError: `invalid_transition` with what is allowed, or `already_reviewed`.
    """
    mine = require_person(actor=actor, request=request, action=action)
    if action is Action.APPROVE and _has_voted(actor, request):
        raise ConflictError(
            "You have reviewed this revision already.", code=ErrorCode.ALREADY_REVIEWED
        )
    if action not in request_moves.allowed(state=request.state, kind=request.type, parties=mine):
        raise wrong_move(actor=actor, request=request)
    rule = request_access.rule_of(request=request)
    if action in (Action.EXECUTE, Action.RETRY):
        _require_time(actor, request, action)
        _require_right(actor, request, rule)
    return rule


def require_person(*, actor: Actor, request: ChangeRequest, action: Action) -> frozenset[Party]:
    """Refuse who could not do this in any state; returns what the actor is to the request.

    Raises:
        ForbiddenError: `self_approval`, or a scope is missing.
        ConflictError: `invalid_transition` for a reviewer who has nothing to withdraw.
    """
    move = request_moves.MOVES[action]
    mine = request_access.parties(actor=actor, request=request)
    if not mine & move.parties:
        _refuse_person(actor, request, move, mine)
    return mine


def wrong_move(*, actor: Actor, request: ChangeRequest, detail: str | None = None) -> ConflictError:
    """Return the refusal of what the present state does not allow."""
    actions = request_access.allowed_actions(actor=actor, request=request)
    return ConflictError(
        detail or f"The request is {request.state.value}; this cannot be done to it now.",
        code=ErrorCode.INVALID_TRANSITION,
        members={"state": request.state.value, "allowed_actions": actions},
    )


def _refuse_person(
    actor: Actor, request: ChangeRequest, move: Move, mine: frozenset[Party]
) -> None:
    """Say why this is not for the actor.

    Raises:
        ForbiddenError: always, but for somebody who has just nothing to withdraw.
    """
    is_own = actor.user_id is not None and actor.user_id in (
        request.requester_id,
        request.beneficiary_id,
    )
    if is_own and move.action in JUDGING:
        raise ForbiddenError(
            "Nobody judges a request that is their own or to their own benefit.",
            code=ErrorCode.SELF_APPROVAL,
        )
    if Party.VOTER in move.parties and Party.REJECTER in mine:
        raise wrong_move(actor=actor, request=request)
    needed = sorted(_scopes(move.parties))
    raise ForbiddenError.missing_scopes(required=needed, missing=needed)


def _scopes(wanted: Iterable[Party]) -> set[str]:
    return {NEEDED[party] for party in wanted if party in NEEDED}


def _has_voted(actor: Actor, request: ChangeRequest) -> bool:
    is_open = request.state is RequestState.PENDING
    return is_open and request_access.own_review(actor=actor, request=request) is not None


def _require_time(actor: Actor, request: ChangeRequest, action: Action) -> None:
    """Refuse before the scheduled time, after the approval ran out, and a fifth attempt."""
    now = utc_now()
    if request.scheduled_for is not None and request.scheduled_for > now:
        when = isoformat(request.scheduled_for)
        raise wrong_move(actor=actor, request=request, detail=f"It runs at {when}, not before.")
    if request.approval_valid_until is not None and request.approval_valid_until <= now:
        raise ConflictError("The approval has run out.", code=ErrorCode.APPROVAL_STALE)
    if action is Action.RETRY and request.attempts > request_moves.MOST_RETRIES:
        detail = f"It was tried again {request_moves.MOST_RETRIES} times already."
        raise wrong_move(actor=actor, request=request, detail=detail)


def could_do_it(*, actor: Actor, request: ChangeRequest) -> bool:
    """Tell whether the actor holds the right to do the thing without a request."""
    held = request_access.scopes_on(actor=actor, site=request.site)
    reaches = actor.token_environments is None or request.environment in actor.token_environments
    return reaches and _direct_scopes(request) <= held


def _require_right(actor: Actor, request: ChangeRequest, rule: Rule) -> None:
    """Where nobody had to approve, nothing lends the right: the actor must hold it.

    The system acts for the requester then: who must have held the right when submitting, with
    the credential in use, and must hold it still.
    """
    if rule.required_approvals > 0 or request.emergency:
        return
    if Party.SYSTEM not in request_access.parties(actor=actor, request=request):
        held = request_access.scopes_on(actor=actor, site=request.site)
    elif request.filed_with_right:
        held = _scopes_of_requester(request)
    else:
        held = frozenset()
    require_held(actor=actor, scopes=_direct_scopes(request), held=held)


def _direct_scopes(request: ChangeRequest) -> set[str]:
    """Return the scopes with which one could do the thing without a request."""
    if request.type is RequestType.PROMOTION:
        return {"promotions:write"}
    if request.type is RequestType.ACCESS:
        name = request.payload.get("role")
        effective = db.session.scalar(select(Role.effective).where(Role.name == name))
        return {"members:write", *(effective or ())}
    return set()


def _scopes_of_requester(request: ChangeRequest) -> frozenset[str]:
    requester = request.requester
    if requester is None or not requester.is_active:
        return frozenset()
    role = requester.role
    held = set(role.effective) if role.sees_all_sites else set()
    if request.site_id is not None:
        for effective in access.site_roles(user_id=requester.id, site_id=request.site_id):
            held.update(effective)
    return frozenset(held)
