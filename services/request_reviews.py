"""What reviewers do to requests: approve, reject, withdraw, ask, override and resolve.

A vote binds to the fingerprint of what was reviewed. If that moved before the vote, the request
gets a new revision with what holds now, earlier votes count no longer, and the voter looks again.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from core.clock import isoformat, utc_now
from core.errors import ConflictError, ErrorCode, ForbiddenError
from models.engine import db
from models.requests import ChangeRequest, RequestReview, RequestState, Verdict
from services import (
    approvers,
    password_checks,
    request_access,
    request_execution,
    request_facts,
    request_guards,
    request_log,
    request_parts,
    requests,
)
from services.actors import Actor
from services.approval_rules import Rule
from services.paging import Page, PageRequest, paginate
from services.request_facts import Changed
from services.request_moves import Action
from services.transaction import repeatable, transaction

POST_REVIEW_HOURS = 72
SORTABLE = {"created_at": RequestReview.created_at}


def list_reviews(*, actor: Actor, number: int, page: PageRequest) -> Page[RequestReview]:
    """Return all verdicts, newest first, those on earlier revisions too.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
    """
    request = request_access.find_request(actor=actor, number=number)
    query = select(RequestReview).where(RequestReview.request_id == request.id)
    return paginate(query, page, sortable=SORTABLE, tiebreak=RequestReview.id)


def approve(
    *, actor: Actor, number: int, comment: str | None = None, fingerprint: str | None = None
) -> ChangeRequest:
    """Agree to the present revision; with the last approval needed the request is approved.

    Args:
        actor: a person, or a token of one, but never of the requester or the beneficiary.
        number: the request.
        comment: for the record.
        fingerprint: what was looked at; refused when it is not the present one.

    Raises:
        ForbiddenError: `self_approval`, or requests:review or the role asked for is missing.
        ConflictError: `already_reviewed`, `invalid_transition`, or `approval_stale` with what
            `changed`: nothing was counted.
    """
    changed = _vote(actor, number, comment, fingerprint)
    if changed:
        raise ConflictError(
            "The request is not what was reviewed before. It has a new revision with what holds "
            "now; look at it and approve that.",
            code=ErrorCode.APPROVAL_STALE,
            members={"changed": changed},
        )
    return request_execution.run_if_due(number=number)


@repeatable()
def reject(*, actor: Actor, number: int, reason: str) -> ChangeRequest:
    """Say no; one rejection is enough. The requester may revise the request.

    Raises:
        ForbiddenError: `self_approval`, or requests:review is missing.
        ConflictError: `invalid_transition`.
    """
    with transaction():
        request = _locked(actor, number, Action.REJECT)
        _write(actor, request, Verdict.REJECT, reason)
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.REJECTED,
            kind="rejected",
            detail={"reason": reason},
            closed_reason=reason,
        )
    return request


@repeatable()
def withdraw(*, actor: Actor, number: int, reason: str | None = None) -> ChangeRequest:
    """Take one's own approval back, before the request is carried out.

    Raises:
        ForbiddenError: requests:review is missing.
        ConflictError: `invalid_transition`, there is no vote to take back.
    """
    with transaction():
        request = _locked(actor, number, Action.WITHDRAW)
        review = request_access.own_review(actor=actor, request=request)
        if review is None:
            raise request_guards.wrong_move(actor=actor, request=request)
        review.withdrawn_at = utc_now()
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.PENDING,
            kind="withdrawn",
            detail={"reason": reason},
            approved_at=None,
            approval_valid_until=None,
            postponed_code=None,
        )
    return request


@repeatable()
def request_info(*, actor: Actor, number: int, comment: str) -> ChangeRequest:
    """Ask the requester something; the time to decide stands still until they answer.

    Raises:
        ForbiddenError: `self_approval`, or requests:review is missing.
        ConflictError: `invalid_transition`.
    """
    with transaction():
        request = _locked(actor, number, Action.REQUEST_INFO)
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.NEEDS_INFO,
            kind="info_requested",
            paused_at=utc_now(),
        )
        request_parts.add_comment(actor=actor, request=request, body=comment)
    return request


def override(*, actor: Actor, number: int, reason: str, password: str) -> ChangeRequest:
    """Approve alone in an emergency: loudly, and to be reviewed afterwards.

    Raises:
        ForbiddenError: `self_approval`, `session_required`, or requests:override is missing.
        InvalidInputError: the password is wrong.
        ThrottledError: too many wrong passwords.
        ConflictError: `invalid_transition`.
    """
    request = request_access.find_request(actor=actor, number=number)
    request_guards.require(actor=actor, request=request, action=Action.OVERRIDE)
    password_checks.confirm(actor=actor, password=password, pointer="/password")
    _override(actor, number, reason)
    return request_execution.run_if_due(number=number)


@repeatable()
def resolve(*, actor: Actor, number: int, comment: str | None = None) -> ChangeRequest:
    """Say that what a general request asks for is done.

    Raises:
        ForbiddenError: neither assigned nor requests:review.
        ConflictError: `invalid_transition`.
    """
    with transaction():
        request = _locked(actor, number, Action.RESOLVE)
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.COMPLETED,
            kind="resolved",
            detail={"comment": comment},
            closed_reason=comment,
            closed_at=utc_now(),
        )
    return request


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
        _write(actor, request, verdict, review.comment, post_review=True)
        request_log.move(
            actor=actor,
            request=request,
            to=request.state,
            kind="post_reviewed",
            detail={"verdict": verdict.value, "comment": review.comment},
            post_reviewed_at=utc_now(),
        )
    return request


@repeatable()
def _vote(
    actor: Actor, number: int, comment: str | None, fingerprint: str | None
) -> Changed | None:
    with transaction():
        request = _locked(actor, number, Action.APPROVE)
        rule = request_access.rule_of(request=request)
        changed = request_facts.changes_since(request=request, rule=rule)
        if changed:
            refresh(actor=actor, request=request, rule=rule, changed=changed)
            return changed
        if fingerprint is not None and fingerprint != request.fingerprint:
            return [{"field": "fingerprint", "old": fingerprint, "new": request.fingerprint}]
        _require_eligible(actor, request, rule)
        _write(actor, request, Verdict.APPROVE, comment)
        _count(actor, request, rule)
    return None


def refresh(*, actor: Actor, request: ChangeRequest, rule: Rule, changed: Changed) -> None:
    """Bind a waiting request to what holds now; votes so far do not count any more.

    Call inside a transaction.
    """
    facts = request_facts.facts_of(request=request, rule=rule)
    request_log.move(
        actor=actor,
        request=request,
        to=request.state,
        kind="votes_reset",
        detail={"changed": changed},
        revision=request.revision + 1,
        facts=facts,
        fingerprint=request_facts.fingerprint_of(facts=facts),
        required_approvals=rule.required_approvals,
        valid_hours=rule.valid_hours,
    )
    if rule.required_approvals == 0 and request.state is RequestState.PENDING:
        requests.set_approved(
            actor=actor, request=request, kind="approved", detail={"approvals": 0}
        )


def _count(actor: Actor, request: ChangeRequest, rule: Rule) -> None:
    db.session.flush()  # the new vote is counted with the others
    count = len(request_facts.counted_approvals(request=request, rule=rule))
    detail: dict[str, object] = {"approvals": count, "required": rule.required_approvals}
    if count >= rule.required_approvals:
        requests.set_approved(actor=actor, request=request, kind="approved", detail=detail)
    else:
        request_log.move(
            actor=actor, request=request, to=request.state, kind="voted", detail=detail
        )


@repeatable()
def _override(actor: Actor, number: int, reason: str) -> None:
    with transaction():
        request = _locked(actor, number, Action.OVERRIDE)
        rule = request_access.rule_of(request=request)
        facts = request_facts.facts_of(request=request, rule=rule)
        due = utc_now() + timedelta(hours=POST_REVIEW_HOURS)
        requests.set_approved(
            actor=actor,
            request=request,
            kind="overridden",
            detail={"reason": reason, "post_review_due_at": isoformat(due)},
            emergency=True,
            post_review_due_at=due,
            facts=facts,
            fingerprint=request_facts.fingerprint_of(facts=facts),
        )


def _locked(actor: Actor, number: int, action: Action) -> ChangeRequest:
    """Lock a request that the actor may see and do this to."""
    found = request_access.find_request(actor=actor, number=number)
    request = request_log.locked(number=found.number)
    request_guards.require(actor=actor, request=request, action=action)
    return request


def _require_eligible(actor: Actor, request: ChangeRequest, rule: Rule) -> None:
    ballot = request_access.ballot_of(request=request, rule=rule)
    if actor.user_id in approvers.eligible(ballot=ballot):
        return
    if rule.approver_role is not None:
        raise ForbiddenError(
            f"The policy asks for the role {rule.approver_role}.",
            members={"required": [approvers.REVIEW], "missing": [rule.approver_role]},
        )
    raise ForbiddenError(
        "Who agrees to give a role must hold all of its rights.",
        code=ErrorCode.SCOPE_NOT_HELD,
        members={"required": sorted(ballot.scopes), "missing": sorted(ballot.scopes)},
    )


def require_post_reviewer(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request that the actor may review afterwards.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: `self_approval`, or requests:review is missing.
    """
    request = request_access.find_request(actor=actor, number=number)
    held = request_access.scopes_on(actor=actor, site=request.site)
    if actor.user_id is None or approvers.REVIEW not in held:
        raise ForbiddenError.missing_scopes(required=[approvers.REVIEW], missing=[approvers.REVIEW])
    if actor.user_id in _involved(request):
        raise ForbiddenError(
            "Who filed or overrode a request does not review it afterwards.",
            code=ErrorCode.SELF_APPROVAL,
        )
    return request


def may_review_afterwards(*, actor: Actor, request: ChangeRequest) -> bool:
    """Tell whether this emergency waits for a review that the actor may give."""
    if request.post_review_due_at is None or request.post_reviewed_at is not None:
        return False
    held = request_access.scopes_on(actor=actor, site=request.site)
    is_free = actor.user_id is not None and actor.user_id not in _involved(request)
    return is_free and approvers.REVIEW in held


def _involved(request: ChangeRequest) -> tuple[int | None, ...]:
    overrider = request_log.last_actor(request=request, kind="overridden")
    return request.requester_id, request.beneficiary_id, overrider


def _write(
    actor: Actor,
    request: ChangeRequest,
    verdict: Verdict,
    comment: str | None,
    *,
    post_review: bool = False,
) -> None:
    """Write a verdict, over one of the same person on this revision that was withdrawn."""
    user_id = actor.user_id
    if user_id is None:
        raise ForbiddenError("A verdict is a person's.", code=ErrorCode.SESSION_REQUIRED)
    row = db.session.scalar(
        select(RequestReview).where(
            RequestReview.request_id == request.id,
            RequestReview.revision == request.revision,
            RequestReview.user_id == user_id,
            RequestReview.post_review.is_(post_review),
        )
    )
    if row is None:
        row = RequestReview(
            request_id=request.id,
            revision=request.revision,
            user_id=user_id,
            post_review=post_review,
        )
        db.session.add(row)
    row.verdict, row.comment, row.withdrawn_at = verdict, comment, None
    row.fingerprint, row.created_at = request.fingerprint, utc_now()
