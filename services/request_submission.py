"""Putting a request forward: bound to what it would do now, with people who could agree to it."""

from datetime import timedelta

from core.clock import isoformat, utc_now
from core.errors import ConflictError, ErrorCode
from models.requests import ChangeRequest, RequestState
from services import approvers, request_access, request_facts, request_guards, request_log
from services.actors import Actor
from services.approval_rules import Rule
from services.request_moves import Action

PENDING_HOURS = 168
"""How long a request waits for approvals before it expires; it pauses while an answer is owed."""


def put_forward(*, actor: Actor, request: ChangeRequest) -> None:
    """Submit a draft: bind it to what it would do now; call inside a transaction.

    Raises:
        ConflictError: `no_eligible_approver`, or `invalid_transition`: its site or environment was
            deleted.
    """
    _require_target(request)
    rule = request_access.rule_of(request=request)
    require_approvers(request=request, rule=rule)
    now = utc_now()
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.PENDING,
        kind="submitted",
        detail={"required_approvals": rule.required_approvals},
        submitted_at=now,
        pending_expires_at=now + timedelta(hours=PENDING_HOURS),
        reminders=0,
        **_terms(actor, request, rule),
    )
    if rule.required_approvals == 0:
        set_approved(actor=actor, request=request, kind="approved", detail={"approvals": 0})


def bind(*, actor: Actor, request: ChangeRequest, rule: Rule) -> None:
    """Let a request that is not approved say what it would do now; call inside a transaction."""
    for name, value in _terms(actor, request, rule).items():
        setattr(request, name, value)


def _terms(actor: Actor, request: ChangeRequest, rule: Rule) -> dict[str, object]:
    """Return the columns that bind a request to what it would do now, for this requester."""
    facts = request_facts.facts_of(request=request, rule=rule)
    return {
        "facts": facts,
        "fingerprint": request_facts.fingerprint_of(facts=facts),
        "required_approvals": rule.required_approvals,
        "valid_hours": rule.valid_hours,
        "filed_with_right": request_guards.could_do_it(actor=actor, request=request),
    }


def set_approved(
    *,
    actor: Actor,
    request: ChangeRequest,
    kind: str,
    detail: dict[str, object],
    **values: object,
) -> None:
    """Write that a request is approved and until when; call inside a transaction.

    Raises:
        ConflictError: `approval_stale`, its site or environment was deleted.
    """
    missing = request_facts.missing_target(request=request)
    if missing:
        raise ConflictError(
            "What the request is about was deleted; nothing was done.",
            code=ErrorCode.APPROVAL_STALE,
            members={"changed": missing},
        )
    now = utc_now()
    start = max(now, request.scheduled_for or now)
    until = start + timedelta(hours=request.valid_hours)
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.APPROVED,
        kind=kind,
        detail=detail | {"valid_until": isoformat(until)},
        approved_at=now,
        approval_valid_until=until,
        **values,
    )


def require_approvers(*, request: ChangeRequest, rule: Rule) -> None:
    """Refuse what too few people could agree to.

    Raises:
        ConflictError: `no_eligible_approver`.
    """
    if rule.required_approvals == 0:
        return
    ballot = request_access.ballot_of(request=request, rule=rule)
    count = len(approvers.eligible(ballot=ballot))
    if count < rule.required_approvals:
        raise ConflictError(
            f"This needs {rule.required_approvals} approvals and only {count} people could give "
            "one: nobody approves their own request.",
            code=ErrorCode.NO_ELIGIBLE_APPROVER,
            members={"required_approvals": rule.required_approvals, "eligible": count},
        )


def _require_target(request: ChangeRequest) -> None:
    missing = request_facts.missing_target(request=request)
    if missing:
        raise ConflictError(
            f"The {missing[0]['field']} {missing[0]['old']} of this request was deleted.",
            code=ErrorCode.INVALID_TRANSITION,
            members={
                "state": request.state.value,
                "changed": missing,
                "allowed_actions": [Action.CANCEL.value],
            },
        )
