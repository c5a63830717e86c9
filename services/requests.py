"""Requests: filed, submitted, changed, revised and cancelled by the people who want something."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from core.clock import utc_now
from core.errors import InvalidInputError
from models.engine import db
from models.requests import (
    ChangeRequest,
    RequestPriority,
    RequestState,
    RequestType,
)
from models.sites import Site
from models.tags import Tag
from models.users import User
from services import (
    access,
    request_access,
    request_endings,
    request_execution,
    request_log,
    request_parts,
    request_payloads,
    request_submission,
    request_turns,
)
from services.actors import Actor
from services.approval_rules import Rule
from services.paging import Page, PageRequest, matching, paginate
from services.request_moves import Action
from services.request_payloads import Payload
from services.transaction import repeatable, transaction

logger = logging.getLogger("relevo.requests")

PENDING_HOURS = request_submission.PENDING_HOURS
SORTABLE = {
    "number": ChangeRequest.id,
    "created_at": ChangeRequest.created_at,
    "updated_at": ChangeRequest.updated_at,
    "due_at": ChangeRequest.due_at,
}


@dataclass(frozen=True, kw_only=True)
class RequestOrder:
    """What to file. `draft` keeps it with the requester until it is submitted."""

    title: str
    payload: Payload
    body: str = ""
    priority: RequestPriority = RequestPriority.NORMAL
    site: str | None = None
    environment: str | None = None
    tags: Sequence[str] = ()
    assignees: Sequence[str] = ()
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    auto_execute: bool = True
    draft: bool = False


@dataclass(frozen=True, kw_only=True)
class RequestFilter:
    """Which requests to list; None means any."""

    type: RequestType | None = None
    state: RequestState | None = None
    priority: RequestPriority | None = None
    site: str | None = None
    environment: str | None = None
    requester: str | None = None
    assignee: str | None = None
    tag: str | None = None
    overdue: bool | None = None


def list_requests(
    *, actor: Actor, page: PageRequest, wanted: RequestFilter | None = None
) -> Page[ChangeRequest]:
    """Return the requests the actor may see; `q` looks into title and body."""
    query = _matching(request_access.visible_requests(actor=actor), wanted or RequestFilter())
    words = matching(page.q, ChangeRequest.title, ChangeRequest.body)
    if words is not None:
        query = query.where(words)
    return paginate(query, page, sortable=SORTABLE, default="-number", tiebreak=ChangeRequest.id)


def get_request(*, actor: Actor, number: int) -> ChangeRequest:
    """Return one request.

    Raises:
        ForbiddenError: the credential carries neither requests:read nor requests:write.
        NotFoundError: there is none, or it may not be seen.
    """
    return request_access.find_readable(actor=actor, number=number)


def file_request(*, actor: Actor, order: RequestOrder) -> ChangeRequest:
    """File a request and, unless it is a draft, submit it.

    Where no policy asks for approval it is approved at once and runs if it should.

    Raises:
        NotFoundError: the site may not be seen.
        ForbiddenError: requests:write is missing.
        InvalidInputError: something named does not exist, or nothing could carry it out.
        ConflictError: `no_eligible_approver`, `release_not_ready`.
    """
    number = _file(actor, order)
    return request_execution.run_if_due(number=number)


def submit(*, actor: Actor, number: int) -> ChangeRequest:
    """Hand a draft in for review.

    Raises:
        ForbiddenError: somebody else filed it.
        ConflictError: `invalid_transition`, `no_eligible_approver`.
    """
    _submit_draft(actor, number)
    return request_execution.run_if_due(number=number)


@repeatable()
def answer(*, actor: Actor, number: int, comment: str) -> ChangeRequest:
    """Answer what a reviewer wanted to know; the time that was waited is given back.

    Raises:
        ForbiddenError: somebody else filed it.
        ConflictError: `invalid_transition`.
    """
    with request_turns.turn(actor=actor, number=number, action=Action.ANSWER) as request:
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.PENDING,
            kind="answered",
            paused_at=None,
            pending_expires_at=_resumed(request),
        )
        request_parts.add_comment(actor=actor, request=request, body=comment)
    return request


@repeatable()
def revise(*, actor: Actor, number: int, comment: str | None = None) -> ChangeRequest:
    """Take a request back to change it: a new revision, on which earlier votes do not count.

    Raises:
        ForbiddenError: somebody else filed it.
        ConflictError: `invalid_transition`.
    """
    with request_turns.turn(actor=actor, number=number, action=Action.REVISE) as request:
        request_log.move(
            actor=actor,
            request=request,
            to=RequestState.DRAFT,
            kind="revised",
            detail={"revision": request.revision + 1, "reason": comment},
            revision=request.revision + 1,
            paused_at=None,
            pending_expires_at=None,
            changed=None,
            closed_reason=None,
        )
    return request


@repeatable()
def cancel(*, actor: Actor, number: int, reason: str | None = None) -> ChangeRequest:
    """Give a request up; a promotion that waits for it is cancelled with it.

    Raises:
        ForbiddenError: neither the requester nor an administrator.
        ConflictError: `invalid_transition`.
    """
    with request_turns.turn(actor=actor, number=number, action=Action.CANCEL) as request:
        request_endings.cancel(actor=actor, request=request, reason=reason)
    return request


@repeatable()
def _file(actor: Actor, order: RequestOrder) -> int:
    with transaction():
        request = draft_of(actor=actor, order=order)
        if order.draft:
            rule = request_access.rule_of(request=request)
            request_submission.bind(actor=actor, request=request, rule=rule)
        else:
            request_submission.put_forward(actor=actor, request=request)
        return request.number


def draft_of(*, actor: Actor, order: RequestOrder) -> ChangeRequest:
    """Write a draft; call inside a transaction.

    Raises:
        NotFoundError: the site may not be seen.
        ForbiddenError: requests:write is missing, or a token does not reach what it is about.
        InvalidInputError: something named does not exist, or nothing could carry it out.
    """
    site = (
        access.find_site(actor=actor, slug=order.site, scopes=())
        if order.site is not None
        else None
    )
    request_access.require_filing(actor=actor, site=site)
    _require_reach(actor, order)
    request = _new(actor, order, site)
    with db.session.no_autoflush:
        request_payloads.put(request=request, payload=order.payload)
        request.tags = request_parts.tags_named(names=order.tags)
    db.session.add(request)
    db.session.flush()  # the number is the id
    request.assignees = request_parts.assignees_named(request=request, usernames=order.assignees)
    db.session.flush()  # so that the compare-and-set meets the row as it is
    request_log.note(actor=actor, request=request, kind="created")
    return request


@repeatable()
def _submit_draft(actor: Actor, number: int) -> None:
    with request_turns.turn(actor=actor, number=number, action=Action.SUBMIT) as request:
        request_submission.put_forward(actor=actor, request=request)


def _require_reach(actor: Actor, order: RequestOrder) -> None:
    kind = request_payloads.kind_of(payload=order.payload)
    refusal = request_access.out_of_reach(
        actor=actor,
        kind=kind,
        environment=request_payloads.target_of(kind=kind, environment=order.environment),
        scope=request_access.FILE,
    )
    if refusal is not None:
        raise refusal


def _new(actor: Actor, order: RequestOrder, site: Site | None) -> ChangeRequest:
    now = utc_now()
    if order.scheduled_for is not None and order.scheduled_for <= now:
        raise InvalidInputError.field("/scheduled_for", "This moment has passed.", code="past")
    return ChangeRequest(
        type=request_payloads.kind_of(payload=order.payload),
        state=RequestState.DRAFT,
        title=order.title,
        body=order.body,
        priority=order.priority,
        requester_id=actor.user_id,
        via=actor.via.value,
        site=site,
        site_slug=site.slug if site else None,
        environment=order.environment,
        payload={},
        facts={},
        valid_hours=Rule().valid_hours,
        due_at=order.due_at,
        scheduled_for=order.scheduled_for,
        auto_execute=order.auto_execute,
        created_at=now,
        updated_at=now,
    )


def _resumed(request: ChangeRequest) -> datetime | None:
    if request.pending_expires_at is None or request.paused_at is None:
        return request.pending_expires_at
    return request.pending_expires_at + (utc_now() - request.paused_at)


def _matching(query: Select[ChangeRequest], wanted: RequestFilter) -> Select[ChangeRequest]:
    columns = {
        ChangeRequest.type: wanted.type,
        ChangeRequest.state: wanted.state,
        ChangeRequest.priority: wanted.priority,
        ChangeRequest.site_slug: wanted.site,
        ChangeRequest.environment: wanted.environment,
    }
    for column, value in columns.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.requester is not None:
        mine = select(User.id).where(User.username == wanted.requester)
        query = query.where(ChangeRequest.requester_id.in_(mine))
    if wanted.assignee is not None:
        query = query.where(ChangeRequest.assignees.any(User.username == wanted.assignee))
    if wanted.tag is not None:
        query = query.where(ChangeRequest.tags.any(Tag.name == wanted.tag))
    if wanted.overdue is not None:
        late = ChangeRequest.due_at < utc_now()
        late &= ChangeRequest.closed_at.is_(None)
        query = query.where(late if wanted.overdue else ~late)
    return query
