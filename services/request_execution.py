"""Carrying requests out: by their people, or by themselves; each approval exactly once.

The claim (approved to executing, the numbered attempt, the promotion's slot) is one unit of work
that checks everything again first. What is refused there has not begun: the request stays
approved. What differs from what was reviewed makes it stale, and nothing runs.
"""

import logging
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    InsufficientDiskError,
    OperationFailedError,
)
from models.engine import db
from models.promotions import Promotion, PromotionResult
from models.requests import ChangeRequest, RequestExecution, RequestState, RequestType
from services import (
    access_grants,
    plans,
    recovery,
    request_access,
    request_endings,
    request_facts,
    request_guards,
    request_log,
    request_turns,
    switching,
    waiting_promotions,
)
from services.actors import Actor, system_actor
from services.approval_rules import Rule
from services.promotion_rules import PromotionOrder, check
from services.request_facts import Changed
from services.request_moves import Action
from services.switching import Stopwatch
from services.transaction import end_reading, repeatable, transaction

logger = logging.getLogger("relevo.requests")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What claiming a request came to: a promotion to carry out, or what has changed."""

    promotion: Promotion | None = None
    changed: Changed | None = None


def execute(*, actor: Actor, number: int, action: Action = Action.EXECUTE) -> ChangeRequest:
    """Carry out an approved request, or try a failed one again.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
        ForbiddenError: neither the requester nor requests:execute; without an approval that
            lends it, the right to do the thing itself is missing.
        ConflictError: `invalid_transition`; `approval_stale` with what `changed`; or what the
            promotion itself was refused for, and the request stays as it was. All say what may
            be done to the request now.
        OperationFailedError: it began and failed; the request may be retried.
    """
    request = request_turns.find(actor=actor, number=number)
    request_guards.require(actor=actor, request=request, action=action)
    try:
        if request.type is RequestType.PROMOTION:
            _promote(actor, request, action)
        else:
            _raise_if_changed(_grant(actor, number, action))
    except (ConflictError, InsufficientDiskError, OperationFailedError) as refusal:
        now = _fresh(number)
        request_guards.name_actions(actor=actor, request=now, refusal=refusal)
        raise
    return _fresh(number)


def retry(*, actor: Actor, number: int) -> ChangeRequest:
    """Try to carry out a failed request again, at most three times.

    Raises:
        DomainError: as `execute` does.
    """
    return execute(actor=actor, number=number, action=Action.RETRY)


def run_if_due(*, number: int) -> ChangeRequest:
    """Let an approved request run by itself if it should and its time has come.

    What stops it for now, such as a lock, is noted once; the clock comes back.
    """
    request = _fresh(number)
    if not is_due(request=request):
        return request
    try:
        return execute(actor=_on_behalf(request), number=number)
    except DomainError as refusal:
        logger.info("request did not run", extra={"number": number, "code": refusal.code.value})
        _postpone(number, refusal)
    return _fresh(number)


def is_due(*, request: ChangeRequest) -> bool:
    """Tell whether a request is to run by itself now."""
    if request.state is not RequestState.APPROVED or not request.auto_execute:
        return False
    if request.type is RequestType.GENERAL:
        return False
    return request.scheduled_for is None or request.scheduled_for <= utc_now()


def promotion_ended(
    *,
    actor: Actor,
    request_id: int,
    promotion: int,
    code: ErrorCode | None = None,
    detail: str | None = None,
) -> None:
    """Write the outcome of a promotion into its request, in the same unit of work."""
    request = request_log.locked(number=request_id)
    if request.state is not RequestState.EXECUTING:
        return
    if code is None:
        _complete(actor, request, {"promotion": promotion})
    else:
        _fail(actor, request, promotion, code, detail)


def _promote(actor: Actor, request: ChangeRequest, action: Action) -> None:
    watch, site, name = Stopwatch(), request.site, request.environment
    number = request.number
    if site is None or name is None:
        _raise_if_changed(_make_stale(actor, number))
        return
    with switching.environment_turn(slug=site.slug, environment=name):
        recovery.settle(site=site, environment_name=name)
        claim = _claim_promotion(actor, number, action)
        _raise_if_changed(claim)
        watch.lap("check")
        promotion = claim.promotion
        if promotion is None or promotion.result is PromotionResult.UNCHANGED:
            return
        switching.execute(actor=actor, site=site, promotion=promotion, watch=watch)


@repeatable()
def _claim_promotion(actor: Actor, number: int, action: Action) -> Claim:
    try:
        with transaction():
            request = request_log.locked(number=number)
            rule = request_guards.require(actor=actor, request=request, action=action)
            environment_id = request_access.environment_id_of(request=request)
            release = request.release
            if environment_id is None or release is None:
                return _stale(actor, request, rule)
            environment = switching.locked_environment(environment_id=environment_id)
            switching.lock_release(release)
            changed = changes(request=request, rule=rule)
            if changed:
                return _stale(actor, request, rule)
            order = PromotionOrder(
                to=environment.name,
                allow_older=bool(request.payload.get("allow_older")),
                allow_bad=bool(request.payload.get("allow_bad")),
            )
            plans.require_ready(release=release)
            check(
                actor=actor,
                slug=environment.site.slug,
                environment=environment,
                candidate=release,
                order=order,
            )
            _begin(actor, request)
            if environment.release_id == release.id:
                done = waiting_promotions.finish_unchanged(
                    actor=actor, request=request, environment=environment, candidate=release
                )
                _complete(actor, request, {"promotion": done.number})
                return Claim(promotion=done)
            plan_hash = plans.hash_of(environment=environment, candidate=release)
            started = waiting_promotions.start(
                request=request,
                environment=environment,
                candidate=release,
                plan_hash=plan_hash,
            )
            return Claim(promotion=started)
    except IntegrityError as error:
        raise switching.in_progress() from error


@repeatable()
def _grant(actor: Actor, number: int, action: Action) -> Claim:
    with transaction():
        request = request_log.locked(number=number)
        rule = request_guards.require(actor=actor, request=request, action=action)
        if changes(request=request, rule=rule):
            return _stale(actor, request, rule)
        _begin(actor, request)
        result = access_grants.activate(request=request)
        _complete(actor, request, result)
    return Claim()


@repeatable()
def _make_stale(actor: Actor, number: int) -> Claim:
    with transaction():
        request = request_log.locked(number=number)
        return _stale(actor, request, request_access.rule_of(request=request))


def changes(*, request: ChangeRequest, rule: Rule) -> Changed:
    """Return what takes an approval away: other facts, fewer votes, nobody to give access to."""
    changed = request_facts.changes_since(request=request, rule=rule)
    changed = changed or request_facts.lost_approvals(request=request, rule=rule)
    return changed or access_grants.obstacles(request=request)


def _stale(actor: Actor, request: ChangeRequest, rule: Rule) -> Claim:
    """Withdraw the approval; a request that failed before stays failed."""
    changed = changes(request=request, rule=rule)
    if request.state is RequestState.APPROVED:
        request_endings.make_stale(actor=actor, request=request, changed=changed)
    return Claim(changed=changed)


def _raise_if_changed(claim: Claim) -> None:
    if claim.changed is not None:
        raise ConflictError(
            "What was approved is not what would happen now; nothing was done. The requester "
            "may revise the request.",
            code=ErrorCode.APPROVAL_STALE,
            members={"changed": claim.changed},
        )


def _begin(actor: Actor, request: ChangeRequest) -> None:
    """Claim the attempt: the state and version decide, and the numbered row once more."""
    attempt = request.attempts + 1
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.EXECUTING,
        kind="executing",
        detail={"attempt": attempt},
        attempts=attempt,
        postponed_code=None,
        error_code=None,
        error_detail=None,
    )
    db.session.add(
        RequestExecution(
            request_id=request.id,
            attempt=attempt,
            user_id=actor.user_id,
            via=actor.via.value,
            started_at=utc_now(),
        )
    )
    db.session.flush()  # the attempt must be refused here, before anything else is written


def _complete(actor: Actor, request: ChangeRequest, result: dict[str, object]) -> None:
    _end_attempt(request, None)
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.COMPLETED,
        kind="completed",
        detail=result,
        result=result,
        closed_at=utc_now(),
    )


def _fail(
    actor: Actor, request: ChangeRequest, promotion: int, code: ErrorCode, detail: str | None
) -> None:
    _end_attempt(request, code.value)
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.FAILED,
        kind="failed",
        detail={"promotion": promotion, "code": code.value},
        error_code=code.value,
        error_detail=detail,
    )


def _end_attempt(request: ChangeRequest, code: str | None) -> None:
    db.session.execute(
        update(RequestExecution)
        .where(
            RequestExecution.request_id == request.id,
            RequestExecution.attempt == request.attempts,
        )
        .values(finished_at=utc_now(), error_code=code)
        .execution_options(synchronize_session=False)
    )


@repeatable()
def _postpone(number: int, refusal: DomainError) -> None:
    """Tell once why an approved request does not run yet."""
    code = refusal.code.value
    with transaction():
        request = request_log.locked(number=number)
        if request.state is not RequestState.APPROVED or request.postponed_code == code:
            return
        request_log.move(
            actor=system_actor(),
            request=request,
            to=request.state,
            kind="postponed",
            detail={"code": code, "reason": refusal.detail},
            postponed_code=code,
        )


def _on_behalf(request: ChangeRequest) -> Actor:
    """Return the system, acting in the name of the requester."""
    requester = request.requester
    name = requester.username if requester else None
    return Actor(**{**vars(system_actor()), "username": name})


def _fresh(number: int) -> ChangeRequest:
    end_reading()
    return db.session.get_one(ChangeRequest, number, populate_existing=True)
