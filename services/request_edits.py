"""Changing the words and the terms of a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import select

from core.clock import isoformat, utc_now
from core.errors import InvalidInputError, PreconditionError
from models.engine import db
from models.requests import (
    ChangeRequest,
    RequestPriority,
    RequestReview,
    RequestState,
    RequestType,
)
from services import (
    request_access,
    request_guards,
    request_log,
    request_payloads,
    request_submission,
    waiting_promotions,
)
from services.actors import Actor
from services.request_moves import FINAL, Party
from services.request_payloads import Payload
from services.request_standing import Viewer
from services.transaction import repeatable, transaction

JUDGED = frozenset({"title", "body", "payload", "environment", "scheduled_for", "auto_execute"})
"""What reviewers judge: changed in a draft, and while nobody has voted on it."""
CLEARABLE = frozenset({"due_at", "scheduled_for"})
OPEN_TO_EDITS = (RequestState.PENDING, RequestState.NEEDS_INFO)
REVISE = "What reviewers judge is changed in a draft; revise the request first."
WHY: dict[RequestState, str] = {
    RequestState.PENDING: "Somebody has voted on this as it is; revise the request first.",
    RequestState.NEEDS_INFO: "Somebody has voted on this as it is; revise the request first.",
    RequestState.APPROVED: "This was approved as it is. It may be cancelled and filed anew.",
    RequestState.EXECUTING: "This is being carried out as it was approved.",
    RequestState.FAILED: "This was approved as it is. It may be cancelled and filed anew.",
}


class Kept(Enum):
    """Tells an input that was left out from one that is null."""

    AS_IS = "as_is"


@dataclass(frozen=True, kw_only=True)
class RequestChange:
    """The fields to change; what is left out stays as it is, moments are cleared by None."""

    title: str | None = None
    body: str | None = None
    priority: RequestPriority | None = None
    due_at: datetime | Kept | None = Kept.AS_IS
    payload: Payload | None = None
    environment: str | None = None
    scheduled_for: datetime | Kept | None = Kept.AS_IS
    auto_execute: bool | None = None

    @property
    def values(self) -> dict[str, object]:
        """What to change, by name."""
        return {
            name: value
            for name, value in vars(self).items()
            if value is not Kept.AS_IS and (value is not None or name in CLEARABLE)
        }


def require_own(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request that the actor filed.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: somebody else filed it, requests:write is missing, or a token does not
            reach it.
    """
    request = request_access.find_request(actor=actor, number=number)
    _require_reach(actor, request, request.environment)
    standing = Viewer(actor).standing(request=request)
    if Party.REQUESTER not in standing.parties:
        required = [request_access.FILE]
        raise request_access.refused(
            "Only who filed a request, and can see its site, changes it.",
            required,
            standing.lacks(*required),
        )
    return request


def _require_reach(actor: Actor, request: ChangeRequest, environment: str | None) -> None:
    refusal = request_access.out_of_reach(
        actor=actor,
        kind=request.type,
        environment=environment,
        scope=request_access.FILE,
        gives=False,
    )
    if refusal is not None:
        raise refusal


@repeatable()
def update_request(
    *,
    actor: Actor,
    number: int,
    change: RequestChange,
    expected_version: int | None = None,
) -> ChangeRequest:
    """Change a request; what reviewers judge only while nobody has voted on it.

    Raises:
        ForbiddenError: somebody else filed it.
        PreconditionError: `expected_version` is not the present one.
        ConflictError: `invalid_transition`, it is closed, or must be revised first;
            `no_eligible_approver`.
        InvalidInputError: something named does not exist.
    """
    with transaction():
        request = request_log.locked(number=require_own(actor=actor, number=number).number)
        if expected_version is not None and expected_version != request.version:
            raise PreconditionError("The request was changed by somebody else.")
        values = change.values
        before = {name: _shown(request, name) for name in values}
        _require_editable(actor, request, _differing(request, values))
        _require_reach(actor, request, change.environment)
        _apply(request, change, values)
        db.session.flush()  # what it would do is read from the rows
        after = {name: _shown(request, name) for name in values}
        names = sorted(name for name in values if before[name] != after[name])
        if names:
            _write(actor, request, names)
            detail = {
                "fields": names,
                "before": {name: before[name] for name in names},
                "after": {name: after[name] for name in names},
            }
            request_log.note(actor=actor, request=request, kind="edited", detail=detail)
    return request


def _write(actor: Actor, request: ChangeRequest, names: Sequence[str]) -> None:
    """Bind the request to what it would do now, if that is what was changed."""
    request.version, request.updated_at = request.version + 1, utc_now()
    if JUDGED.intersection(names):
        rule = request_access.rule_of(request=request)
        if request.state is not RequestState.DRAFT:
            request_submission.require_approvers(request=request, rule=rule)
        request_submission.bind(actor=actor, request=request, rule=rule)
        if request.state in OPEN_TO_EDITS and request.type is RequestType.PROMOTION:
            waiting_promotions.rewrite(request=request)
    db.session.flush()  # the event tells of what is written


def _differing(request: ChangeRequest, values: Mapping[str, object]) -> set[str]:
    """Return what would be changed; a payload is looked at when it has been read."""
    return {
        name
        for name, value in values.items()
        if name == "payload" or getattr(request, name) != value
    }


def _require_editable(actor: Actor, request: ChangeRequest, names: set[str]) -> None:
    if request.state is RequestState.DRAFT or not names:
        return
    if request.state in FINAL:
        detail = f"The request is {request.state.value}; nothing of it is changed any more."
    elif not names & JUDGED:
        return
    elif request.state not in OPEN_TO_EDITS or _has_votes(request):
        detail = WHY.get(request.state, REVISE)
    elif "environment" in names:
        detail = "The environment is changed in a draft; revise the request first."
    else:
        return
    raise request_guards.wrong_move(actor=actor, request=request, detail=detail)


def _has_votes(request: ChangeRequest) -> bool:
    """Tell whether somebody's vote on the present revision stands."""
    query = select(RequestReview.id).where(
        RequestReview.request_id == request.id,
        RequestReview.revision == request.revision,
        RequestReview.post_review.is_(False),
        RequestReview.withdrawn_at.is_(None),
    )
    return db.session.scalar(query.limit(1)) is not None


def _apply(request: ChangeRequest, change: RequestChange, values: Mapping[str, object]) -> None:
    when = change.scheduled_for
    if isinstance(when, datetime) and when <= utc_now():
        raise InvalidInputError.field("/scheduled_for", "This moment has passed.", code="past")
    for name, value in values.items():
        if name != "payload":
            setattr(request, name, value)
    if change.payload is not None:
        if request_payloads.kind_of(payload=change.payload) is not request.type:
            raise InvalidInputError.field(
                "/payload", "This is the payload of another type.", code="type"
            )
        request_payloads.put(request=request, payload=change.payload)
    elif change.environment is not None:
        request_payloads.require_environment(request=request)


def _shown(request: ChangeRequest, name: str) -> object:
    """Return a field as JSON has it; a person by their id, as the audit trail does."""
    value = getattr(request, name)
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, Mapping):
        person = {} if request.beneficiary_id is None else {"user_id": request.beneficiary_id}
        return {**person, **value}
    return value.value if isinstance(value, Enum) else value
