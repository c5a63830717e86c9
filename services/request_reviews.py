"""What reviewers do to requests: approve, reject, withdraw, ask, override and resolve.

A vote binds to the fingerprint of what was reviewed. If that moved before the vote, the request
gets a new revision with what holds now, earlier votes count no longer, and the voter looks again.
"""

from datetime import timedelta

from sqlalchemy import select

from core.clock import isoformat, utc_now
from core.errors import ConflictError, ErrorCode
from models.engine import db
from models.requests import ChangeRequest, RequestReview, RequestState, Verdict
from services import (
    password_checks,
    request_access,
    request_execution,
    request_facts,
    request_guards,
    request_log,
    request_parts,
    request_submission,
    request_turns,
    request_verdicts,
)
from services.actors import Actor
from services.approval_rules import Rule
from services.paging import Page, PageRequest, paginate
from services.request_facts import Changed
from services.request_moves import Action
from services.transaction import repeatable

POST_REVIEW_HOURS = 72
SORTABLE = {"created_at": RequestReview.created_at}


def list_reviews(*, actor: Actor, number: int, page: PageRequest) -> Page[RequestReview]:
    """Return all verdicts, newest first, those on earlier revisions too.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
    """
    request = request_access.find_readable(actor=actor, number=number)
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
    _raise_if_changed(actor, number, _vote(actor, number, comment, fingerprint))
    return request_execution.run_if_due(number=number)


@repeatable()
def reject(*, actor: Actor, number: int, reason: str) -> ChangeRequest:
    """Say no; one rejection is enough. The requester may revise the request.

    Raises:
        ForbiddenError: `self_approval`, or requests:review is missing.
        ConflictError: `already_reviewed`, or `invalid_transition`.
    """
    with request_turns.turn(actor=actor, number=number, action=Action.REJECT) as request:
        request_verdicts.write(actor=actor, request=request, verdict=Verdict.REJECT, comment=reason)
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
    with request_turns.turn(actor=actor, number=number, action=Action.WITHDRAW) as request:
        request_verdicts.take_back(actor=actor, request=request)
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
    with request_turns.turn(actor=actor, number=number, action=Action.REQUEST_INFO) as request:
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
    request = request_turns.find(actor=actor, number=number)
    request_guards.require(actor=actor, request=request, action=Action.OVERRIDE)
    password_checks.confirm(actor=actor, password=password, pointer="/password")
    _override(actor, number, reason)
    return request_execution.run_if_due(number=number)


def resolve(*, actor: Actor, number: int, comment: str | None = None) -> ChangeRequest:
    """Say that what a general request asks for is done.

    While it waits for approvals this is a reviewer's yes as well, and must be the last one needed.

    Raises:
        ForbiddenError: neither assigned nor requests:review, or requests:write is missing.
        ConflictError: `invalid_transition`, or `approval_stale` as for `approve`.
    """
    _raise_if_changed(actor, number, _resolve(actor, number, comment))
    return request_turns.find(actor=actor, number=number)


@repeatable()
def _vote(
    actor: Actor, number: int, comment: str | None, fingerprint: str | None
) -> Changed | None:
    with request_turns.turn(actor=actor, number=number, action=Action.APPROVE) as request:
        rule = request_access.rule_of(request=request)
        changed = _refreshed(actor, request, rule)
        if changed:
            return changed
        if fingerprint is not None and fingerprint != request.fingerprint:
            return [{"field": "fingerprint", "old": fingerprint, "new": request.fingerprint}]
        request_verdicts.write(
            actor=actor, request=request, verdict=Verdict.APPROVE, comment=comment
        )
        _count(actor, request, rule)
    return None


@repeatable()
def _resolve(actor: Actor, number: int, comment: str | None) -> Changed | None:
    with request_turns.turn(actor=actor, number=number, action=Action.RESOLVE) as request:
        if request.state is RequestState.PENDING:
            rule = request_access.rule_of(request=request)
            changed = _refreshed(actor, request, rule)
            if changed:
                return changed
            if request_verdicts.standing(actor=actor, request=request) is None:
                request_verdicts.write(
                    actor=actor, request=request, verdict=Verdict.APPROVE, comment=comment
                )
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.COMPLETED,
            kind="resolved",
            detail={"comment": comment},
            closed_reason=comment,
            closed_at=utc_now(),
        )
    return None


def _refreshed(actor: Actor, request: ChangeRequest, rule: Rule) -> Changed:
    """Return what is not as it was reviewed before; the request has a new revision then."""
    changed = request_facts.changes_since(request=request, rule=rule)
    if changed:
        refresh(actor=actor, request=request, rule=rule, changed=changed)
    return changed


def _raise_if_changed(actor: Actor, number: int, changed: Changed | None) -> None:
    if changed:
        request = request_access.find_request(actor=actor, number=number)
        raise ConflictError(
            "The request is not what was reviewed before. It has a new revision with what holds "
            "now; look at it and approve that.",
            code=ErrorCode.APPROVAL_STALE,
            members={
                "changed": changed,
                "allowed_actions": request_guards.allowed_actions(actor=actor, request=request),
            },
        )


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
        request_submission.set_approved(
            actor=actor, request=request, kind="approved", detail={"approvals": 0}
        )


def _count(actor: Actor, request: ChangeRequest, rule: Rule) -> None:
    db.session.flush()  # the new vote is counted with the others
    count = len(request_facts.counted_approvals(request=request, rule=rule))
    detail: dict[str, object] = {"approvals": count, "required": rule.required_approvals}
    if count >= rule.required_approvals:
        request_submission.set_approved(
            actor=actor, request=request, kind="approved", detail=detail
        )
    else:
        request_log.move(
            actor=actor, request=request, to=request.state, kind="voted", detail=detail
        )


@repeatable()
def _override(actor: Actor, number: int, reason: str) -> None:
    with request_turns.turn(actor=actor, number=number, action=Action.OVERRIDE) as request:
        rule = request_access.rule_of(request=request)
        facts = request_facts.facts_of(request=request, rule=rule)
        due = utc_now() + timedelta(hours=POST_REVIEW_HOURS)
        request_submission.set_approved(
            actor=actor,
            request=request,
            kind="overridden",
            detail={"reason": reason, "post_review_due_at": isoformat(due)},
            emergency=True,
            post_review_due_at=due,
            facts=facts,
            fingerprint=request_facts.fingerprint_of(facts=facts),
        )
