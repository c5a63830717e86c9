"""Changing the words and the terms of a request."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update

from core.clock import utc_now
from core.errors import InvalidInputError, PreconditionError
from models.engine import db
from models.requests import ChangeRequest, RequestPriority, RequestState, RequestType
from services import request_access, request_guards, request_log, request_payloads
from services.actors import Actor
from services.request_moves import FINAL, Party
from services.request_payloads import Payload
from services.request_standing import Viewer
from services.transaction import changed_rows, repeatable, transaction

TERMS = ("payload", "environment", "scheduled_for", "auto_execute")
"""What reviewers judge: changed in a draft only. So is the body of a general request."""


@dataclass(frozen=True, kw_only=True)
class RequestChange:
    """The fields to change; None leaves one as it is."""

    title: str | None = None
    body: str | None = None
    priority: RequestPriority | None = None
    due_at: datetime | None = None
    payload: Payload | None = None
    environment: str | None = None
    scheduled_for: datetime | None = None
    auto_execute: bool | None = None


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
    """Change a request; what reviewers judge is changed in a draft only.

    Raises:
        ForbiddenError: somebody else filed it.
        PreconditionError: `expected_version` is not the present one.
        ConflictError: `invalid_transition`, it is closed, or must be revised first.
        InvalidInputError: something named does not exist.
    """
    with transaction():
        request = request_log.locked(number=require_own(actor=actor, number=number).number)
        _take(request, expected_version)
        values = {name: value for name, value in vars(change).items() if value is not None}
        _require_editable(actor, request, set(values))
        _require_reach(actor, request, change.environment)
        before = {name: _plain(getattr(request, name)) for name in values}
        _apply(request, change, values)
        db.session.flush()  # the event tells of what is written
        names = sorted(name for name in values if before[name] != _plain(getattr(request, name)))
        if names:
            request_log.note(actor=actor, request=request, kind="edited", detail={"fields": names})
    return request


def _take(request: ChangeRequest, expected_version: int | None) -> None:
    statement = update(ChangeRequest).where(ChangeRequest.id == request.id)
    if expected_version is not None:
        statement = statement.where(ChangeRequest.version == expected_version)
    values = {"version": ChangeRequest.version + 1, "updated_at": utc_now()}
    statement = statement.values(values).execution_options(synchronize_session=False)
    if changed_rows(statement) == 0:
        raise PreconditionError("The request was changed by somebody else.")
    db.session.refresh(request)


def _require_editable(actor: Actor, request: ChangeRequest, names: set[str]) -> None:
    judged = set(TERMS) | ({"body"} if request.type is RequestType.GENERAL else set())
    if request.state is RequestState.DRAFT:
        return
    if request.state in FINAL or names & judged:
        raise request_guards.wrong_move(
            actor=actor,
            request=request,
            detail="What reviewers judge is changed in a draft; revise the request first.",
        )


def _apply(request: ChangeRequest, change: RequestChange, values: dict[str, object]) -> None:
    if change.scheduled_for is not None and change.scheduled_for <= utc_now():
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


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, dict) else value
