"""Webhooks: addresses that are told of events.

A webhook belongs to its site, not to whoever made it: it goes on when that person leaves, and
everybody with webhooks:write on the site sees and changes it. One without a site belongs to the
installation.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, false, func, or_, select, update

from core.clock import isoformat, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from core.ids import new_public_id
from core.outbound import Failure, OutboundError
from core.outbound_http import Destination, destination
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from models.webhooks import Webhook
from services.access import require_on_site, visible_sites
from services.actors import Actor
from services.audit import Target, record
from services.crypto import encrypt
from services.outbound import webhook_guard
from services.paging import Page, PageRequest, matching, paginate
from services.transaction import changed_rows, transaction
from services.webhook_topics import check_topics, needs_audit

WRITE = "webhooks:write"
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
DEFAULT_OVERLAP_MINUTES = 24 * 60
MAX_WEBHOOKS = 50
REFUSED = "The server does not connect to this host."
SORTABLE = {"created_at": Webhook.created_at, "updated_at": Webhook.updated_at}


@dataclass(frozen=True, kw_only=True)
class WebhookChange:
    """The fields to change; None leaves one as it is."""

    url: str | None = None
    topics: Sequence[str] | None = None
    description: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True)
class NewSecret:
    """A webhook and the secret just made for it, shown this once."""

    webhook: Webhook
    secret: str


def list_webhooks(*, actor: Actor, page: PageRequest, site: str | None = None) -> Page[Webhook]:
    """Return the webhooks that the actor may change; `q` looks into descriptions."""
    query = visible_webhooks(actor=actor)
    if site is not None:
        query = query.where(Webhook.site.has(Site.slug == site))
    words = matching(page.q, Webhook.description, Webhook.target)
    if words is not None:
        query = query.where(words)
    return paginate(query, page, sortable=SORTABLE, tiebreak=Webhook.id)


def visible_webhooks(*, actor: Actor) -> Select[Webhook]:
    """Return a query limited to the webhooks on which the actor holds webhooks:write."""
    return select(Webhook).where(or_(_on_sites(actor), _of_installation(actor)))


def find_webhook(*, actor: Actor, public_id: str) -> Webhook:
    """Return a webhook that the actor may change.

    Raises:
        NotFoundError: there is none, or the actor may not know of it.
    """
    webhook = db.session.scalar(visible_webhooks(actor=actor).where(Webhook.public_id == public_id))
    if webhook is None:
        raise NotFoundError("There is no such webhook, or you may not see it.")
    return webhook


def create_webhook(
    *,
    actor: Actor,
    url: str,
    topics: Sequence[str],
    site: str | None = None,
    description: str = "",
    is_active: bool = True,
) -> NewSecret:
    """Make a webhook for a site, or for the installation when no site is named.

    Raises:
        InvalidInputError: no such site, unknown topics, an address that is none, or one to which
            the server does not connect (`host_refused`).
        ForbiddenError: webhooks:write is missing on the site, or everywhere.
    """
    home = _home(actor, site)
    _check_topics(actor, topics, on_site=home is not None)
    place = check_url(url=url)
    secret, now = _new_secret(), utc_now()
    webhook = Webhook(
        public_id=new_public_id(),
        site_id=home.id if home else None,
        url=url,
        target=_target_name(place),
        topics=sorted(set(topics)),
        description=description,
        is_active=is_active,
        secret=encrypt(secret),
        created_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
    with transaction() as session:
        _refuse_too_many(home)
        session.add(webhook)
        record(
            actor=actor,
            action="webhook.created",
            target=audit_target(webhook),
            after=_shown(webhook),
        )
    return NewSecret(webhook, secret)


def update_webhook(
    *, actor: Actor, public_id: str, change: WebhookChange, expected_version: int | None = None
) -> Webhook:
    """Change address, topics, description or state.

    Raises:
        NotFoundError, ForbiddenError, InvalidInputError: like finding and making one.
        PreconditionError: `expected_version` is not the present one.
    """
    webhook = find_webhook(actor=actor, public_id=public_id)
    if change.topics is not None:
        _check_topics(actor, change.topics, on_site=webhook.site_id is not None)
    place = check_url(url=change.url) if change.url is not None else None
    with transaction():
        webhook = _find_for_change(actor, public_id)
        _touch(webhook, expected_version)
        before = _shown(webhook)
        _apply(webhook, change, place)
        record(
            actor=actor,
            action="webhook.updated",
            target=audit_target(webhook),
            before=before,
            after=_shown(webhook),
        )
    return webhook


def rotate_secret(*, actor: Actor, public_id: str, overlap_minutes: int) -> NewSecret:
    """Make a new secret; calls carry both signatures until the overlap is over.

    Raises:
        NotFoundError: there is no such webhook, or the actor may not know of it.
        ConflictError: `invalid_transition`, the overlap of the last time is not over. Only two
            secrets are kept, so a receiver that has the oldest one would be cut off.
    """
    secret = _new_secret()
    with transaction():
        webhook = _find_for_change(actor, public_id)
        if overlap_minutes:
            _refuse_second_overlap(webhook)
        _touch(webhook, None)
        webhook.previous_secret = webhook.secret if overlap_minutes else None
        until = utc_now() + timedelta(minutes=overlap_minutes) if overlap_minutes else None
        webhook.previous_secret_until = until
        webhook.secret = encrypt(secret)
        record(actor=actor, action="webhook.secret_rotated", target=audit_target(webhook))
    return NewSecret(webhook, secret)


def _refuse_second_overlap(webhook: Webhook) -> None:
    until = webhook.previous_secret_until
    if until is not None and until > utc_now():
        raise ConflictError(
            f"The secret before this one counts until {isoformat(until)}. Wait until then, or end "
            "both at once with overlap_minutes 0.",
            code=ErrorCode.INVALID_TRANSITION,
            members={"allowed_actions": [], "old_secret_until": isoformat(until)},
        )


def delete_webhook(*, actor: Actor, public_id: str) -> None:
    """Remove a webhook and the log of its deliveries; what is on its way is not sent again.

    Raises:
        NotFoundError: there is no such webhook, or the actor may not know of it.
    """
    with transaction() as session:
        webhook = find_webhook(actor=actor, public_id=public_id)
        target, before = audit_target(webhook), _shown(webhook)
        session.delete(webhook)
        record(actor=actor, action="webhook.deleted", target=target, before=before)


def check_url(*, url: str) -> Destination:
    """Refuse an address to which the server would not connect now.

    A name that is not known yet is accepted: every call looks it up and checks it again.

    Raises:
        InvalidInputError: it is no address, or its host is refused (`host_refused`).
    """
    try:
        place = destination(url)
        _check_host(place)
    except ValueError as error:
        raise InvalidInputError.field("/url", str(error)) from error
    except OutboundError as error:
        complaint = FieldError("/url", ErrorCode.HOST_REFUSED.value, REFUSED)
        raise InvalidInputError(REFUSED, code=ErrorCode.HOST_REFUSED, errors=[complaint]) from error
    return place


def audit_target(webhook: Webhook) -> Target:
    """Return what audit events about a webhook point to."""
    return Target(type="webhook", id=webhook.public_id, site_id=webhook.site_id)


def _check_host(place: Destination) -> None:
    try:
        webhook_guard().addresses(place.host, place.port)
    except OutboundError as error:
        if error.failure is not Failure.NAME_NOT_RESOLVED:
            raise


def _on_sites(actor: Actor) -> ColumnElement[bool]:
    if WRITE not in actor.limit((WRITE,)):
        return false()
    seen = visible_sites(actor=actor).with_only_columns(Site.id)
    if actor.sees_all_sites and actor.holds(WRITE):
        return Webhook.site_id.in_(seen)
    roles = db.session.execute(
        select(Membership.site_id, Role.effective)
        .join(Role, Role.id == Membership.role_id)
        .where(Membership.user_id == actor.user_id)
    )
    held = [site_id for site_id, effective in roles if WRITE in effective]
    return Webhook.site_id.in_(seen.where(Site.id.in_(held)))


def _of_installation(actor: Actor) -> ColumnElement[bool]:
    return Webhook.site_id.is_(None) if _may_install(actor) else false()


def _may_install(actor: Actor) -> bool:
    return actor.sees_all_sites and actor.token_site_ids is None and actor.holds(WRITE)


def _home(actor: Actor, slug: str | None) -> Site | None:
    if slug is None:
        if not _may_install(actor):
            raise ForbiddenError(
                "A webhook without a site is for whoever manages webhooks on all sites.",
                members={"required": [WRITE], "missing": [WRITE]},
            )
        return None
    site = db.session.scalar(visible_sites(actor=actor).where(Site.slug == slug))
    if site is None:
        message = "There is no such site, or you may not see it."
        raise InvalidInputError.field("/site", message, code="unknown")
    require_on_site(actor=actor, site=site, scopes=(WRITE,))
    return site


def _check_topics(actor: Actor, topics: Sequence[str], *, on_site: bool) -> None:
    check_topics(topics=topics, on_site=on_site)
    if needs_audit(topics):
        actor.require("audit:read")


def _find_for_change(actor: Actor, public_id: str) -> Webhook:
    webhook = find_webhook(actor=actor, public_id=public_id)
    if needs_audit(webhook.topics):  # or its address could be turned to somebody else
        actor.require("audit:read")
    return webhook


def _refuse_too_many(home: Site | None) -> None:
    query = select(func.count()).select_from(Webhook)
    query = query.where(Webhook.site_id == home.id if home else Webhook.site_id.is_(None))
    if (db.session.scalar(query) or 0) >= MAX_WEBHOOKS:
        message = f"There are {MAX_WEBHOOKS} webhooks here, which is the most there can be."
        raise InvalidInputError.field("/site", message, code="too_many")


def _touch(webhook: Webhook, expected_version: int | None) -> None:
    statement = update(Webhook).where(Webhook.id == webhook.id)
    if expected_version is not None:
        statement = statement.where(Webhook.version == expected_version)
    values = {"version": Webhook.version + 1, "updated_at": utc_now()}
    if changed_rows(statement.values(values)) == 0:
        raise PreconditionError("The webhook was changed by somebody else.")
    db.session.refresh(webhook)


def _apply(webhook: Webhook, change: WebhookChange, place: Destination | None) -> None:
    if change.url is not None and place is not None:
        webhook.url, webhook.target = change.url, _target_name(place)
    if change.topics is not None:
        webhook.topics = sorted(set(change.topics))
    if change.description is not None:
        webhook.description = change.description
    if change.is_active is not None:
        if change.is_active and not webhook.is_active:
            webhook.failing_since, webhook.disabled_reason = None, None
        webhook.is_active = change.is_active


def _shown(webhook: Webhook) -> dict[str, object]:
    """Return what the audit trail may hold; an address can be a secret, its host is none."""
    return {
        "target": webhook.target,
        "topics": list(webhook.topics),
        "is_active": webhook.is_active,
    }


def _target_name(place: Destination) -> str:
    return f"{place.host}:{place.port}"


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
