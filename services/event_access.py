"""Who may be told of an event: whoever may read what it is about.

Decided when it is delivered, with the rights of that moment.
"""

from collections.abc import Sequence

from models.engine import db
from models.requests import ChangeRequest
from models.sites import Site
from services.access import site_scopes, visible_sites
from services.actors import Actor, Via
from services.event_reader import StoredEvent
from services.permissions import GLOBAL_SCOPES
from services.request_access import visible_requests

# What an event is about, the first word of its topic, and the scope that reads such things.
# Everything else is for those who read the audit trail.
READ_BY: dict[str, str] = {
    "site": "sites:read",
    "member": "sites:read",
    "environment": "sites:read",
    "release": "sites:read",
    "promotion": "sites:read",
    "backup": "sites:read",
    "request": "requests:read",
    "tag": "requests:read",
    "approval_policy": "requests:read",
    "database": "databases:read",
    "database_server": "servers:write",
    "job": "jobs:read",
    "webhook": "webhooks:write",
    "user": "users:read",
    "contact": "users:read",
}
FOR_EVERYBODY = frozenset({"role"})
OTHERWISE = "audit:read"
NAMED_BY_USER_ID = frozenset({"user", "member", "contact"})


def readable(*, actor: Actor, events: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Return those of `events` that the actor may be told of now."""
    sites = _sites(actor, {event.site_id for event in events if event.site_id is not None})
    requests = _requests(actor, events)
    return [
        event
        for event in events
        if (
            event.payload["target"]["id"] in requests
            if _is_of_request(event)
            else _may_read(actor, event, sites)
        )
    ]


def may_read_site(*, actor: Actor, site_id: int) -> bool:
    """Tell whether the actor still sees a site."""
    found = _sites(actor, {site_id}).get(site_id)
    return found is not None and "sites:read" in found[1]


def _may_read(
    actor: Actor, event: StoredEvent, sites: dict[int, tuple[Site, frozenset[str]]]
) -> bool:
    area = event.topic.partition(".")[0]
    if area in FOR_EVERYBODY:
        return True
    scope = READ_BY.get(area, OTHERWISE)
    if scope in GLOBAL_SCOPES:
        return actor.holds(scope) or _is_own(actor, event)
    if event.site_id is None:
        return _holds_everywhere(actor, scope) or _is_own(actor, event)
    found = sites.get(event.site_id)
    # An event from before the site is one of a deleted site whose number was given out again.
    if found is None or event.at < found[0].created_at:
        return _holds_everywhere(actor, scope)
    return scope in found[1]


def _holds_everywhere(actor: Actor, scope: str) -> bool:
    """Tell whether the actor holds `scope` on all sites, also on those that are gone."""
    return actor.sees_all_sites and actor.token_site_ids is None and actor.holds(scope)


def _is_own(actor: Actor, event: StoredEvent) -> bool:
    """Tell whether it is about the person, or done by the person; tokens are told less."""
    if actor.via is not Via.SESSION or actor.user_id is None or actor.token_scopes is not None:
        return False
    target = event.payload.get("target") or {}
    is_target = target.get("type") in NAMED_BY_USER_ID and target.get("id") == str(actor.user_id)
    return is_target or event.user_id == actor.user_id


def _is_of_request(event: StoredEvent) -> bool:
    return bool(event.payload["target"]["type"] == "request")


def _requests(actor: Actor, events: Sequence[StoredEvent]) -> set[str]:
    """Return the numbers of those requests that the actor may know of: also own ones."""
    asked = {event.payload["target"]["id"] for event in events if _is_of_request(event)}
    numbers = [int(number) for number in asked if number.isdigit()]
    if not numbers or READ_BY["request"] not in actor.limit({READ_BY["request"]}):
        return set()
    query = visible_requests(actor=actor).where(ChangeRequest.id.in_(numbers))
    return {str(request.number) for request in db.session.scalars(query)}


def _sites(actor: Actor, ids: set[int]) -> dict[int, tuple[Site, frozenset[str]]]:
    """Return the sites that the actor sees, with the scopes held on each."""
    if not ids:
        return {}
    query = visible_sites(actor=actor).where(Site.id.in_(ids))
    found = db.session.scalars(query.execution_options(populate_existing=True)).all()
    return {site.id: (site, site_scopes(actor=actor, site=site)) for site in found}
