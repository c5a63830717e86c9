"""Who belongs to a site, and with which role on it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.clock import utc_now
from core.errors import InvalidInputError, NotFoundError
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from models.users import User
from services.access import find_site, site_scopes
from services.actors import Actor
from services.audit import Target, record
from services.grants import require_held
from services.paging import Page, PageRequest, matching, paginate
from services.permissions import RoleKind
from services.transaction import transaction

SORTABLE = {"username": User.username, "created_at": Membership.created_at, "role": Role.name}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One user's role on one site."""

    username: str
    role: str
    since: datetime


def list_members(
    *, actor: Actor, slug: str, page: PageRequest, role: str | None = None
) -> Page[Member]:
    """Return the members of a site; `q` looks into user names.

    Raises:
        NotFoundError: the site may not be seen.
    """
    site = find_site(actor=actor, slug=slug)
    query = (
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .join(Role, Role.id == Membership.role_id)
        .where(Membership.site_id == site.id)
    )
    if role is not None:
        query = query.where(Role.name == role)
    words = matching(page.q, User.username)
    if words is not None:
        query = query.where(words)
    found = paginate(query, page, sortable=SORTABLE, tiebreak=Membership.id)
    return found.with_items([_view(row) for row in found.items])


def get_member(*, actor: Actor, slug: str, username: str) -> Member:
    """Return one member.

    Raises:
        NotFoundError: the site may not be seen, or the user is no member.
    """
    site = find_site(actor=actor, slug=slug)
    row = _find(site, username)
    if row is None:
        raise NotFoundError("This user is no member of the site.")
    return _view(row)


def put_member(*, actor: Actor, slug: str, username: str, role: str) -> tuple[Member, bool]:
    """Give a user a role on the site; returns the member and whether they are new.

    Raises:
        NotFoundError: the site may not be seen.
        ForbiddenError: members:write is missing, or the new or the present role of the user
            holds more rights on the site than the actor.
        InvalidInputError: there is no such user or site role.
    """
    with transaction() as session:
        site = find_site(actor=actor, slug=slug, scopes=("sites:read", "members:write"))
        held = site_scopes(actor=actor, site=site)
        granted = _site_role(role)
        require_held(actor=actor, scopes=granted.effective, held=held)
        row = _find(site, username)
        created = row is None
        before = None if row is None else {"role": row.role.name}
        if row is None:
            row = Membership(
                site_id=site.id, user=_active_user(username), role=granted, created_at=utc_now()
            )
            session.add(row)
        else:
            require_held(actor=actor, scopes=row.role.effective, held=held)
            row.role = granted
        after = {"role": granted.name}
        action = "member.added" if created else "member.changed"
        record(actor=actor, action=action, target=_target(site, row), before=before, after=after)
    return _view(row), created


def remove_member(*, actor: Actor, slug: str, username: str) -> None:
    """Take a user off the site.

    Raises:
        NotFoundError: the site may not be seen, or the user is no member.
        ForbiddenError: members:write is missing, or the member holds more rights on the site
            than the actor.
    """
    with transaction() as session:
        site = find_site(actor=actor, slug=slug, scopes=("sites:read", "members:write"))
        row = _find(site, username)
        if row is None:
            raise NotFoundError("This user is no member of the site.")
        held = site_scopes(actor=actor, site=site)
        require_held(actor=actor, scopes=row.role.effective, held=held)
        record(
            actor=actor,
            action="member.removed",
            target=_target(site, row),
            before={"role": row.role.name},
        )
        session.delete(row)


def _find(site: Site, username: str) -> Membership | None:
    return db.session.scalar(
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.site_id == site.id, User.username == username)
    )


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


def _view(row: Membership) -> Member:
    return Member(username=row.user.username, role=row.role.name, since=row.created_at)


def _target(site: Site, row: Membership) -> Target:
    return Target(type="member", id=str(row.user_id or row.user.id), site_id=site.id)
