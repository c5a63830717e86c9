"""Who belongs to a site, and with which role on it: for good, or for a time by a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, literal, null, select, type_coerce, union_all

from core.clock import isoformat, utc_now
from core.errors import InvalidInputError, NotFoundError
from models.access_grants import AccessGrant
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from models.types import UtcDateTime
from models.users import User
from services import access_grants
from services.access import find_site, grant_counts, lasting_scopes, site_scopes
from services.actors import Actor
from services.audit import Target, record
from services.grants import require_held
from services.paging import Page, PageRequest, matching, paginate_rows
from services.permissions import RoleKind
from services.transaction import transaction

WRITE = ("sites:read", "members:write")

_ENTRIES = union_all(
    select(
        literal(0).label("kind"),
        Membership.id.label("id"),
        Membership.site_id.label("site_id"),
        User.username.label("username"),
        Role.name.label("role"),
        Membership.created_at.label("since"),
        type_coerce(null(), UtcDateTime()).label("until"),
        type_coerce(null(), AccessGrant.request_id.type).label("request"),
        Membership.user_id.label("user_id"),
    )
    .join(User, User.id == Membership.user_id)
    .join(Role, Role.id == Membership.role_id),
    select(
        literal(1),
        AccessGrant.id,
        AccessGrant.site_id,
        User.username,
        Role.name,
        AccessGrant.starts_at,
        AccessGrant.expires_at,
        AccessGrant.request_id,
        AccessGrant.user_id,
    )
    .join(User, User.id == AccessGrant.user_id)
    .join(Role, Role.id == AccessGrant.role_id)
    .where(AccessGrant.revoked_at.is_(None)),
).subquery("entries")
SORTABLE = {
    "username": _ENTRIES.c.username,
    "created_at": _ENTRIES.c.since,
    "role": _ENTRIES.c.role,
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One user's role on one site; `until` and `request` are None for a membership."""

    username: str
    role: str
    since: datetime
    until: datetime | None = None
    request: int | None = None


def list_members(
    *, actor: Actor, slug: str, page: PageRequest, role: str | None = None
) -> Page[Member]:
    """Return the members of a site and the grants that count; `q` looks into user names.

    Raises:
        NotFoundError: the site may not be seen.
    """
    site = find_site(actor=actor, slug=slug)
    query = select(_ENTRIES).where(_ENTRIES.c.site_id == site.id, _counts())
    if role is not None:
        query = query.where(_ENTRIES.c.role == role)
    words = matching(page.q, _ENTRIES.c.username)
    if words is not None:
        query = query.where(words)
    found = paginate_rows(
        query, page, sortable=SORTABLE, tiebreak=_ENTRIES.c.id * 2 + _ENTRIES.c.kind
    )
    return found.with_items([_view(row) for row in found.items])


def get_member(*, actor: Actor, slug: str, username: str) -> Member:
    """Return one member: the membership, without one the grant that lasts longest.

    Raises:
        NotFoundError: the site may not be seen, or the user has no role on it.
    """
    site = find_site(actor=actor, slug=slug)
    row = db.session.execute(
        select(_ENTRIES)
        .where(_ENTRIES.c.site_id == site.id, _ENTRIES.c.username == username, _counts())
        .order_by(_ENTRIES.c.kind, _ENTRIES.c.until.desc(), _ENTRIES.c.id)
        .limit(1)
    ).first()
    if row is None:
        raise _no_member()
    return _view(row)


def put_member(*, actor: Actor, slug: str, username: str, role: str) -> tuple[Member, bool]:
    """Give a user a role on the site; returns the member and whether they are new.

    Raises:
        NotFoundError: the site may not be seen.
        ForbiddenError: members:write is missing, or the new or the present role of the user
            holds more rights on the site than the actor holds for good.
        InvalidInputError: there is no such user or site role.
    """
    with transaction() as session:
        site = find_site(actor=actor, slug=slug, scopes=WRITE)
        granted = _site_role(role)
        _require_held(actor, site, granted)
        row = _find(site, username)
        created = row is None
        before = None if row is None else {"role": row.role.name}
        if row is None:
            row = Membership(
                site_id=site.id, user=_active_user(username), role=granted, created_at=utc_now()
            )
            session.add(row)
        else:
            _require_held(actor, site, row.role)
            row.role = granted
        after = {"role": granted.name}
        action = "member.added" if created else "member.changed"
        target = _target(site, row.user_id or row.user.id)
        record(actor=actor, action=action, target=target, before=before, after=after)
    return Member(username=row.user.username, role=row.role.name, since=row.created_at), created


def remove_member(*, actor: Actor, slug: str, username: str) -> None:
    """Take a user off the site: the membership, and roles for a time.

    Raises:
        NotFoundError: the site may not be seen, or the user has no role on it.
        ForbiddenError: members:write is missing, or a role of the user holds more rights on the
            site than the actor holds for good.
    """
    with transaction() as session:
        site = find_site(actor=actor, slug=slug, scopes=WRITE)
        row, grants = _find(site, username), _grants(site, username)
        if row is None and not grants:
            raise _no_member()
        before: dict[str, object] = {"role": row.role.name if row else None}
        if grants:
            before["grants"] = [_told(grant) for grant in grants]
        for role in [*([row.role] if row else []), *(grant.role for grant in grants)]:
            if role is not None:
                _require_held(actor, site, role)
        for grant in grants:
            access_grants.revoke(actor=actor, grant=grant)
        user_id = row.user_id if row else grants[0].user_id
        record(actor=actor, action="member.removed", target=_target(site, user_id), before=before)
        if row is not None:
            session.delete(row)


def _require_held(actor: Actor, site: Site, role: Role) -> None:
    require_held(
        actor=actor,
        scopes=role.effective,
        held=lasting_scopes(actor=actor, site=site),
        lent=site_scopes(actor=actor, site=site),
    )


def _counts() -> Any:  # Any: a condition on columns of every type
    """Return the condition that an entry has not run out."""
    return _ENTRIES.c.until.is_(None) | (_ENTRIES.c.until > utc_now())


def _find(site: Site, username: str) -> Membership | None:
    return db.session.scalar(
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.site_id == site.id, User.username == username)
    )


def _grants(site: Site, username: str) -> list[AccessGrant]:
    return list(
        db.session.scalars(
            select(AccessGrant)
            .join(User, User.id == AccessGrant.user_id)
            .where(AccessGrant.site_id == site.id, User.username == username, grant_counts())
            .order_by(AccessGrant.id)
        )
    )


def _told(grant: AccessGrant) -> Mapping[str, object]:
    return {
        "role": grant.role.name if grant.role else None,
        "request": grant.request_id,
        "until": isoformat(grant.expires_at),
    }


def _site_role(name: str) -> Role:
    role = db.session.scalar(
        select(Role).where(Role.name == name, Role.kind == RoleKind.SITE.value)
    )
    if role is None:
        raise InvalidInputError.field("/role", "There is no such site role.", code="unknown")
    return role


def _active_user(username: str) -> User:
    user = db.session.scalar(
        select(User).where(User.username == username, User.erased_at.is_(None))
    )
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def _no_member() -> NotFoundError:
    return NotFoundError("This user is no member of the site.")


def _view(row: Row[Any]) -> Member:  # Any: columns of every type, read by name
    return Member(
        username=row.username,
        role=row.role,
        since=row.since,
        until=row.until,
        request=row.request,
    )


def _target(site: Site, user_id: int) -> Target:
    return Target(type="member", id=str(user_id), site_id=site.id)
