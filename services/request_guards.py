"""Whether somebody may do something to a request now, and why not.

`allowed_actions` and every refusal come from one list of obstacles, so that what is offered works
and what is refused is not offered. What is found only by trying (drift, a promotion that is
running, a full disk) is no obstacle here.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy import select

from core.clock import isoformat, utc_now
from core.errors import ConflictError, DomainError, ErrorCode, ForbiddenError
from models.engine import db
from models.requests import ChangeRequest, RequestState, RequestType
from models.roles import Role
from services import (
    approvers,
    request_access,
    request_expiry,
    request_facts,
    request_moves,
    request_standing,
)
from services.actors import Actor, Via
from services.approval_rules import Rule
from services.grants import require_held
from services.promotion_rules import check_gates
from services.request_access import FILE
from services.request_moves import MOVES, Action, Party
from services.request_standing import NEEDED, Standing, Viewer

Obstacle = Callable[[], DomainError]
"""Makes the refusal; called only when it is needed."""
JUDGING = frozenset(
    {Action.APPROVE, Action.REJECT, Action.OVERRIDE, Action.REQUEST_INFO, Action.RESOLVE}
)
RUNNING = frozenset({Action.EXECUTE, Action.RETRY})
GIVING = frozenset({Action.SUBMIT, Action.APPROVE, Action.OVERRIDE, *RUNNING})
"""What helps a request along, so that a token must reach all that it would give."""
ALWAYS: dict[Action, tuple[str, ...]] = {Action.RESOLVE: (FILE,)}
"""Scopes that an action needs on top of those of the party."""
WHO: dict[Action, str] = {
    Action.SUBMIT: "Only who filed a request submits it.",
    Action.APPROVE: "A request is approved with requests:review.",
    Action.REJECT: "A request is rejected with requests:review.",
    Action.WITHDRAW: "A vote is taken back by who gave it, and who filed a request has none.",
    Action.REQUEST_INFO: "Who asks needs requests:review.",
    Action.ANSWER: "Only who filed a request answers.",
    Action.REVISE: "Only who filed a request revises it.",
    Action.EXECUTE: "A request is carried out by who filed it, or with requests:execute.",
    Action.RETRY: "A request is tried again by who filed it, or with requests:execute.",
    Action.OVERRIDE: "An emergency is decided with requests:override.",
    Action.RESOLVE: "A request is resolved by who is assigned, or with requests:review.",
    Action.CANCEL: "A request is cancelled by who filed it, or by an administrator.",
}


def require(*, actor: Actor, request: ChangeRequest, action: Action) -> Rule:
    """Refuse unless the actor may do this to the request now; returns the rule that holds.

    Raises:
        ForbiddenError: `self_approval`, a scope is missing, or a token does not reach it.
        ConflictError: `invalid_transition` with what is allowed, `already_reviewed`,
            `environment_locked`, `environment_held`, `approval_stale` or `requester_inactive`.
    """
    viewer = Viewer(actor)
    obstacle = _obstacle(viewer.standing(request=request), action)
    if obstacle is not None:
        raise obstacle()
    return viewer.rule_of(request=request)


def require_person(*, actor: Actor, request: ChangeRequest, action: Action) -> None:
    """Refuse who could not do this in any state.

    Raises:
        ForbiddenError: `self_approval`, a scope is missing, or a token does not reach it.
        ConflictError: `invalid_transition` for a reviewer who has nothing to withdraw.
    """
    obstacle = _person(Viewer(actor).standing(request=request), action)
    if obstacle is not None:
        raise obstacle()


def allowed_actions(
    *, actor: Actor, request: ChangeRequest, viewer: Viewer | None = None
) -> list[str]:
    """Return what the actor may do to a request now; `viewer` is kept from request to request."""
    standing = (viewer or Viewer(actor)).standing(request=request)
    return [
        action.value
        for action in request_moves.allowed(
            state=request.state, kind=request.type, parties=standing.parties
        )
        if _obstacle(standing, action) is None
    ]


def wrong_move(*, actor: Actor, request: ChangeRequest, detail: str | None = None) -> ConflictError:
    """Return the refusal of what the present state does not allow."""
    return ConflictError(
        detail or f"The request is {request.state.value}; this cannot be done to it now.",
        code=ErrorCode.INVALID_TRANSITION,
        members={
            "state": request.state.value,
            "allowed_actions": allowed_actions(actor=actor, request=request),
        },
    )


def could_do_it(*, actor: Actor, request: ChangeRequest) -> bool:
    """Tell whether the actor holds the right to do the thing without a request."""
    viewer = Viewer(actor)
    reaches = actor.token_environments is None or request.environment in actor.token_environments
    return reaches and _direct_scopes(request) <= viewer.held_on(request=request)


def _obstacle(standing: Standing, action: Action) -> Obstacle | None:
    """Return the first thing that stands in the way of an action, None when it may be done."""
    for check in (_person, _state, _session, _time, _right, _gate, _vote, _resolution):
        obstacle = check(standing, action)
        if obstacle is not None:
            return obstacle
    return None


def _person(standing: Standing, action: Action) -> Obstacle | None:
    """Look whether this is for the actor at all."""
    actor, request, move = standing.actor, standing.request, MOVES[action]
    ways = [party for party in Party if party in move.parties & standing.people]
    unreached = request_access.out_of_reach(
        actor=actor,
        kind=request.type,
        environment=request.environment,
        scope=FILE if FILE in _operation_scopes(action) else _operation_scopes(action)[0],
        gives=action in GIVING,
    )
    if unreached is not None:
        return lambda: unreached
    if not ways:
        return partial(_nobodys, standing, action)
    always = ALWAYS.get(action, ())
    if standing.parties.intersection(ways) and not standing.lacks(*always):
        return None
    needs = [_needed(party) | set(always) for party in ways]
    cheapest = min(needs, key=lambda scopes: len(standing.lacks(*scopes)))
    missing = standing.lacks(*cheapest)
    return lambda: request_access.refused(WHO[action], cheapest, missing)


def _nobodys(standing: Standing, action: Action) -> DomainError:
    """Say why no scope would help the actor."""
    actor, request = standing.actor, standing.request
    required = _operation_scopes(action)
    missing = standing.lacks(*required)
    is_own = actor.user_id is not None and actor.user_id in (
        request.requester_id,
        request.beneficiary_id,
    )
    if is_own and action in JUDGING:
        return ForbiddenError(
            "Nobody judges a request that is their own or to their own benefit.",
            code=ErrorCode.SELF_APPROVAL,
            members={"required": required, "missing": missing},
        )
    if action is Action.WITHDRAW and Party.REJECTER in standing.parties:
        return wrong_move(actor=actor, request=request)
    if Party.AUTHOR in standing.people and Party.REQUESTER in MOVES[action].parties:
        detail = "You filed this request and cannot see its site any more; you may cancel it."
        return request_access.refused(detail, required, missing)
    return request_access.refused(WHO[action], required, missing)


def _state(standing: Standing, action: Action) -> Obstacle | None:
    """Look whether the state allows it, a time that is over included, and one vote for each."""
    actor, request, move = standing.actor, standing.request, MOVES[action]
    fits = request.state in move.sources and (not move.types or request.type in move.types)
    parties = move.parties_in(request.state)
    if not fits or not standing.parties & parties or request_expiry.is_over(request=request):
        return partial(wrong_move, actor=actor, request=request)
    if action in (Action.APPROVE, Action.REJECT) and standing.review is not None:
        return lambda: ConflictError(
            "You have reviewed this revision already; withdraw that first.",
            code=ErrorCode.ALREADY_REVIEWED,
            members={"allowed_actions": allowed_actions(actor=actor, request=request)},
        )
    return None


def _session(standing: Standing, action: Action) -> Obstacle | None:
    """An emergency is decided with a password, so by somebody who is signed in."""
    if action is not Action.OVERRIDE or standing.actor.via is Via.SESSION:
        return None
    return lambda: ForbiddenError(
        "This is done by a person who is signed in, not by a token.",
        code=ErrorCode.SESSION_REQUIRED,
    )


def _time(standing: Standing, action: Action) -> Obstacle | None:
    """Nothing runs before its time, after the approval ran out, or a fifth time."""
    actor, request, now = standing.actor, standing.request, utc_now()
    if action not in RUNNING:
        return None
    if request.scheduled_for is not None and request.scheduled_for > now:
        detail = f"It runs at {isoformat(request.scheduled_for)}, not before."
        return partial(wrong_move, actor=actor, request=request, detail=detail)
    if request.approval_valid_until is not None and request.approval_valid_until <= now:
        return lambda: ConflictError(
            "The approval has run out.",
            code=ErrorCode.APPROVAL_STALE,
            members={"allowed_actions": allowed_actions(actor=actor, request=request)},
        )
    if action is Action.RETRY and request.attempts > request_moves.MOST_RETRIES:
        detail = f"It was tried again {request_moves.MOST_RETRIES} times already."
        return partial(wrong_move, actor=actor, request=request, detail=detail)
    return None


def _right(standing: Standing, action: Action) -> Obstacle | None:
    """Where nobody had to approve, nothing lends the right: the actor must hold it.

    The system acts for the requester, who must still be there. Without an approval they must have
    held the right when submitting, with the credential in use, and must hold it still.
    """
    request = standing.request
    if action not in RUNNING:
        return None
    by_itself = Party.SYSTEM in standing.parties
    if by_itself and not request_standing.requester_is_there(request=request):
        return lambda: ConflictError(
            "Who filed this was deactivated or cannot see the site any more, so it does not run "
            "by itself. Somebody with requests:execute may carry it out.",
            code=ErrorCode.REQUESTER_INACTIVE,
        )
    if request.emergency or standing.viewer.rule_of(request=request).required_approvals > 0:
        return None
    held = standing.held
    if by_itself:
        with_right = request.filed_with_right
        held = request_standing.scopes_of_requester(request=request) if with_right else frozenset()
    try:
        require_held(actor=standing.actor, scopes=_direct_scopes(request), held=held)
    except ForbiddenError as refusal:
        return _made(refusal)
    return None


def _gate(standing: Standing, action: Action) -> Obstacle | None:
    """A lock stops everybody, the hold after a rollback all but people."""
    actor, request = standing.actor, standing.request
    if action not in RUNNING or request.type is not RequestType.PROMOTION:
        return None
    environment = standing.viewer.environment_of(request=request)
    if environment is None:
        return None
    try:
        check_gates(actor=actor, environment=environment)
    except ConflictError as refusal:
        return partial(_named, standing, refusal)
    return None


def name_actions(*, actor: Actor, request: ChangeRequest, refusal: DomainError) -> None:
    """Say in a refusal what may be done to the request, not to what it is about."""
    refusal.members["allowed_actions"] = allowed_actions(actor=actor, request=request)


def _named(standing: Standing, refusal: DomainError) -> DomainError:
    name_actions(actor=standing.actor, request=standing.request, refusal=refusal)
    return refusal


def _vote(standing: Standing, action: Action) -> Obstacle | None:
    """A vote must be one that counts: with the role of the policy, and all rights given."""
    if action is not Action.APPROVE:
        return None
    request, viewer = standing.request, standing.viewer
    rule = viewer.rule_of(request=request)
    required = [approvers.REVIEW]
    if not _has_role(standing, rule):
        detail = f"The policy asks for the role {rule.approver_role}."
        return lambda: request_access.refused(detail, required)
    if request.type is not RequestType.ACCESS:
        return None
    scopes = request_access.ballot_of(request=request, rule=rule).scopes
    missing = set(standing.lacks(*scopes)) | (scopes - {approvers.REVIEW} - standing.lasting)
    if not missing:
        return None
    return lambda: ForbiddenError(
        "Who agrees to give a role must hold all of its rights, and for good.",
        code=ErrorCode.SCOPE_NOT_HELD,
        members={"required": sorted(scopes), "missing": sorted(missing)},
    )


def _resolution(standing: Standing, action: Action) -> Obstacle | None:
    """What is resolved while it waits for approvals counts as the last one that is needed."""
    actor, request = standing.actor, standing.request
    if action is not Action.RESOLVE or request.state is not RequestState.PENDING:
        return None
    rule = standing.viewer.rule_of(request=request)
    votes = {actor.user_id} if _has_role(standing, rule) else set()
    if len(votes) < rule.required_approvals:
        votes |= request_facts.counted_approvals(request=request, rule=rule)
    if len(votes) >= rule.required_approvals:
        return None
    detail = f"It takes {rule.required_approvals} approvals before it is resolved."
    return partial(wrong_move, actor=actor, request=request, detail=detail)


def _has_role(standing: Standing, rule: Rule) -> bool:
    names = standing.viewer.roles_for(request=standing.request)
    return rule.approver_role is None or rule.approver_role in names


def _made(refusal: DomainError) -> Obstacle:
    return lambda: refusal


def _needed(party: Party) -> set[str]:
    return {NEEDED[party]} if party in NEEDED else set()


def _operation_scopes(action: Action) -> list[str]:
    """Return the scopes with which an action is done at all."""
    needed = set(ALWAYS.get(action, ())).union(*map(_needed, MOVES[action].parties))
    return sorted(needed)


def _direct_scopes(request: ChangeRequest) -> set[str]:
    """Return the scopes with which one could do the thing without a request."""
    if request.type is RequestType.PROMOTION:
        return {"promotions:write"}
    if request.type is RequestType.ACCESS:
        name = request.payload.get("role")
        effective = db.session.scalar(select(Role.effective).where(Role.name == name))
        return {"members:write", *(effective or ())}
    return set()
