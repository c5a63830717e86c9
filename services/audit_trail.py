"""Read the audit trail; names are looked up at reading, because events hold ids only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from models.audit import AuditEvent
from models.engine import db
from models.tokens import ApiToken
from models.users import User
from services.actors import Actor
from services.paging import CursorPage, CursorRequest, cursor_page
from services.users import find_by_name

TYPES_NAMED_BY_USER_ID = ("user", "member")


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which events are wanted; None does not filter.

    `action` may end in `.*`. `target` is `type` or `type:id`; users are named by user name.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class NamedTarget:
    """What an event is about, by the name it has now."""

    type: str
    id: str


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One event with the names that its ids have now."""

    event: AuditEvent
    actor: str | None
    token: str | None
    target: NamedTarget


def list_events(
    *, actor: Actor, page: CursorRequest, wanted: AuditFilter | None = None
) -> CursorPage[AuditEntry]:
    """Return events, the newest first.

    Raises:
        ForbiddenError: audit:read is not held everywhere.
    """
    actor.require("audit:read")
    query = _filtered(select(AuditEvent), wanted or AuditFilter())
    found = cursor_page(query, page, key=AuditEvent.id)
    return found.with_items(_with_names(found.items))


def _filtered(query: Select[AuditEvent], wanted: AuditFilter) -> Select[AuditEvent]:
    if wanted.actor is not None:
        query = query.where(AuditEvent.user_id == _user_id(wanted.actor))
    if wanted.action is not None:
        query = _by_action(query, wanted.action)
    if wanted.target is not None:
        query = _by_target(query, wanted.target)
    if wanted.since is not None:
        query = query.where(AuditEvent.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEvent.at < wanted.until)
    return query


def _by_action(query: Select[AuditEvent], action: str) -> Select[AuditEvent]:
    if action.endswith(".*"):
        return query.where(AuditEvent.action.startswith(action[:-1], autoescape=True))
    return query.where(AuditEvent.action == action)


def _by_target(query: Select[AuditEvent], target: str) -> Select[AuditEvent]:
    kind, _, name = target.partition(":")
    query = query.where(AuditEvent.target_type == kind)
    if not name:
        return query
    if kind in TYPES_NAMED_BY_USER_ID:
        name = str(_user_id(name))
    return query.where(AuditEvent.target_id == name)


def _user_id(username: str) -> int:
    """Return the id of a user, or one that nobody has."""
    user = find_by_name(username)
    return user.id if user else 0


def _with_names(events: Sequence[AuditEvent]) -> list[AuditEntry]:
    users = _user_names(events)
    tokens = _token_ids(event.token_id for event in events)
    return [
        AuditEntry(
            event=event,
            actor=users.get(event.user_id) if event.user_id is not None else None,
            token=tokens.get(event.token_id) if event.token_id is not None else None,
            target=NamedTarget(event.target_type, _target_name(event, users)),
        )
        for event in events
    ]


def _user_names(events: Sequence[AuditEvent]) -> dict[int, str]:
    ids = {event.user_id for event in events if event.user_id is not None}
    ids.update(
        int(event.target_id)
        for event in events
        if event.target_type in TYPES_NAMED_BY_USER_ID and event.target_id.isdigit()
    )
    rows = db.session.execute(select(User.id, User.username).where(User.id.in_(ids)))
    return dict(iter(rows))


def _token_ids(ids: Iterable[int | None]) -> dict[int, str]:
    wanted = {token_id for token_id in ids if token_id is not None}
    rows = db.session.execute(
        select(ApiToken.id, ApiToken.public_id).where(ApiToken.id.in_(wanted))
    )
    return dict(iter(rows))


def _target_name(event: AuditEvent, users: dict[int, str]) -> str:
    if event.target_type in TYPES_NAMED_BY_USER_ID and event.target_id.isdigit():
        return users.get(int(event.target_id), event.target_id)
    return event.target_id
