"""Events as the outside sees them: names instead of the ids that the outbox keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from models.engine import db
from models.sites import Site
from models.users import User
from services.event_access import NAMED_BY_USER_ID
from services.event_reader import StoredEvent


@dataclass(frozen=True, kw_only=True)
class EventTarget:
    """What an event is about."""

    type: str
    id: str


@dataclass(frozen=True, kw_only=True)
class EventView:
    """One event; `after` is JSON of every shape."""

    cursor: int
    id: str
    at: datetime
    action: str
    actor: str | None
    site: str | None
    target: EventTarget
    after: dict[str, Any] | None


def shown(*, events: Sequence[StoredEvent]) -> list[EventView]:
    """Return events with the names that users and sites have now."""
    users, sites = _user_names(events), _site_rows(events)
    return [
        EventView(
            cursor=event.id,
            id=event.payload["id"],
            at=event.at,
            action=event.topic,
            actor=users.get(event.user_id) if event.user_id is not None else None,
            site=_site_name(event, sites),
            target=_target(event, users),
            after=event.payload.get("after"),
        )
        for event in events
    ]


def _target(event: StoredEvent, users: dict[int, str]) -> EventTarget:
    kind, name = event.payload["target"]["type"], event.payload["target"]["id"]
    if kind in NAMED_BY_USER_ID and name.isdigit():
        name = users.get(int(name), name)
    return EventTarget(type=kind, id=name)


def _user_names(events: Sequence[StoredEvent]) -> dict[int, str]:
    ids = {event.user_id for event in events if event.user_id is not None}
    for event in events:
        target = event.payload["target"]
        if target["type"] in NAMED_BY_USER_ID and target["id"].isdigit():
            ids.add(int(target["id"]))
    if not ids:
        return {}
    rows = db.session.execute(select(User.id, User.username).where(User.id.in_(ids)))
    return dict(iter(rows))


def _site_name(event: StoredEvent, sites: dict[int, Site]) -> str | None:
    """Return the slug, unless the site was made later: its number was another site's before."""
    site = sites.get(event.site_id) if event.site_id is not None else None
    return site.slug if site is not None and site.created_at <= event.at else None


def _site_rows(events: Sequence[StoredEvent]) -> dict[int, Site]:
    ids = {event.site_id for event in events if event.site_id is not None}
    query = select(Site).where(Site.id.in_(ids)).execution_options(populate_existing=True)
    return {site.id: site for site in db.session.scalars(query)} if ids else {}
