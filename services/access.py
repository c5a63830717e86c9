"""Which sites an actor may see, and what it may do on one of them.

Rights on a site come from a membership and from grants that have not run out; both are looked at
with every request.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.errors import ForbiddenError, NotFoundError
from models.access_grants import AccessGrant
from models.engine import db
from models.kept import kept
from models.roles import Role
from models.sites import Membership, Site
from services.actors import Actor
from services.site_visibility import KNOWN_JOINED, about, roles, sites, visible, with_roles
from services.transaction import is_open, single_statements

_KEPT = "relevo_site_looked_up"


class AnySite(Protocol):
    """A site by its key and its name: all that moving a pointer needs to know of it."""

    @property
    def id(self) -> int: ...

    @property
    def slug(self) -> str: ...


class SiteKey(NamedTuple):
    """The key of a site that the caller may see."""

    id: int
    slug: str


def visible_sites(*, actor: Actor) -> Select[Site]:
    """Return a query limited to the sites the actor may know of.

    A membership, a grant or a role that sees all sites makes a site visible; a token's list of
    sites takes visibility away again.
    """
    query = select(Site)
    if not actor.sees_all_sites:
        mine = select(Membership.site_id).where(Membership.user_id == actor.user_id)
        granted = select(AccessGrant.site_id).where(
            AccessGrant.user_id == actor.user_id, grant_counts()
        )
        query = query.where(or_(Site.id.in_(mine), Site.id.in_(granted)))
    if actor.token_site_ids is not None:
        query = query.where(Site.id.in_(actor.token_site_ids))
    return query


def find_site(*, actor: Actor, slug: str, scopes: tuple[str, ...] = ("sites:read",)) -> Site:
    """Return the site if the actor may see it and holds `scopes` on it.

    Raises:
        NotFoundError: there is no such site, or the actor may not know of it.
        ForbiddenError: the actor sees it but lacks a scope.
    """
    found = _look_up(actor, slug)
    if found is None:
        raise _unknown_site()
    site, held = found
    _require(_held(actor, held), scopes)
    return site


def find_key(*, actor: Actor, slug: str, scopes: tuple[str, ...] = ("sites:read",)) -> SiteKey:
    """Like `find_site`, with one statement that stands alone, for what needs no more of the site.

    Raises:
        NotFoundError: there is no such site, or the actor may not know of it.
        ForbiddenError: the actor sees it but lacks a scope.
    """
    site, held = _key_and_scopes(actor, slug)
    _require(held, scopes)
    return site


def _key_and_scopes(actor: Actor, slug: str) -> tuple[SiteKey, frozenset[str]]:
    """Read a site's key and the scopes of the actor on it; doors look before services do."""
    if kept.known is not None and kept.known[0] is actor and kept.known[1] == slug:
        _, _, site, held = kept.known
        return site, held
    statement = _looking_up_key(actor.sees_all_sites, actor.token_site_ids is not None)
    with single_statements() as connection:
        rows = connection.execute(statement, {**about(actor=actor), "slug": slug}).all()
    if not rows:
        raise _unknown_site()
    site, held = SiteKey(rows[0][0], slug), _held(actor, [effective for _, effective in rows])
    if kept.is_wanted:
        kept.known = (actor, slug, site, held)
    return site, held


def _unknown_site() -> NotFoundError:
    return NotFoundError("There is no such site, or you may not see it.")


def _look_up(actor: Actor, slug: str) -> tuple[Site, Sequence[Collection[str] | None]] | None:
    """Read a site and the permissions of the actor's roles on it.

    Doors look before services do; what was read stays good for the same reading transaction.
    """
    session: Session = db.session()
    asked = (session.get_transaction(), actor, slug)
    kept = session.info.get(_KEPT)
    if kept is not None and asked[0] is not None and kept[0] == asked and not is_open():
        found: tuple[Site, Sequence[Collection[str] | None]] | None = kept[1]
        return found
    statement = _looking_up(actor.sees_all_sites, actor.token_site_ids is not None)
    rows = session.execute(statement, {**about(actor=actor), "slug": slug}).all()
    found = (rows[0][0], [effective for _, effective in rows]) if rows else None
    session.info[_KEPT] = ((session.get_transaction(), actor, slug), found)
    return found


@lru_cache(maxsize=4)
def _looking_up(sees_all: bool, is_limited: bool) -> Select[Any]:
    """Return the statement for one site: a row for each role of the caller on it, or one."""
    return (
        select(Site, roles.c.effective)
        .select_from(with_roles(sites))
        .where(sites.c.slug == bindparam("slug"), *visible(sees_all, is_limited, KNOWN_JOINED))
    )


@lru_cache(maxsize=4)
def _looking_up_key(sees_all: bool, is_limited: bool) -> Select[Any]:
    """Return the same statement for its key alone."""
    return _looking_up(sees_all, is_limited).with_only_columns(sites.c.id, roles.c.effective)


def site_scopes(*, actor: Actor, site: Site) -> frozenset[str]:
    """Return the scopes the actor holds on this site, token limits applied."""
    if actor.user_id is None:
        return _held(actor, ())
    return _held(actor, site_roles(user_id=actor.user_id, site_id=site.id))


def lasting_scopes(*, actor: Actor, site: Site) -> frozenset[str]:
    """Return the scopes the actor holds on this site for good: those of grants are left out."""
    if actor.user_id is None:
        return _held(actor, ())
    return _held(actor, member_roles(user_id=actor.user_id, site_id=site.id))


def member_roles(*, user_id: int, site_id: int) -> list[list[str]]:
    """Return what the membership of a user on a site permits; nothing without one."""
    mine = and_(Membership.site_id == site_id, Membership.user_id == user_id)
    query = select(Role.effective).join(Membership, Membership.role_id == Role.id).where(mine)
    return list(db.session.scalars(query))


def sees(*, actor: Actor, site_id: int) -> bool:
    """Tell whether the actor may know of a site."""
    query = visible_sites(actor=actor).where(Site.id == site_id).with_only_columns(Site.id)
    return db.session.scalar(query) is not None


def site_roles(*, user_id: int, site_id: int) -> list[list[str]]:
    """Return what each role of a user on a site permits, by membership and by grants."""
    member = select(Membership.role_id).where(
        Membership.site_id == site_id, Membership.user_id == user_id
    )
    granted = select(AccessGrant.role_id).where(
        AccessGrant.site_id == site_id, AccessGrant.user_id == user_id, grant_counts()
    )
    roles = select(Role.effective).where(or_(Role.id.in_(member), Role.id.in_(granted)))
    return list(db.session.scalars(roles))


def grant_counts() -> ColumnElement[bool]:
    """Return the condition that a grant has not run out; the time decides, not the clock's mark."""
    return and_(AccessGrant.revoked_at.is_(None), AccessGrant.expires_at > utc_now())


def require_on_site(*, actor: Actor, site: Site, scopes: tuple[str, ...]) -> None:
    """Refuse unless the actor holds all of `scopes` on this site.

    Raises:
        ForbiddenError: with the scopes required and missing.
    """
    _require(site_scopes(actor=actor, site=site), scopes)


def require_environment(*, actor: Actor, environment: str, scope: str) -> None:
    """Refuse a token that is limited to other environments.

    Raises:
        ForbiddenError: naming the scope that is missing there.
    """
    allowed = actor.token_environments
    if allowed is not None and environment not in allowed:
        raise other_environment(environment=environment, scope=scope)


def other_environment(*, environment: str, scope: str) -> ForbiddenError:
    """Return the refusal of a token that is limited to other environments."""
    return ForbiddenError(
        f"This token is limited to other environments than {environment}.",
        members={"required": [scope], "missing": [scope]},
    )


def require_held(
    *, actor: Actor, roles: Iterable[Collection[str] | None], scopes: tuple[str, ...]
) -> None:
    """Refuse unless site roles that permit this give the actor all of `scopes`.

    For services that have read the roles together with the thing itself.

    Raises:
        ForbiddenError: with the scopes required and missing.
    """
    _require(_held(actor, roles), scopes)


def holds_everywhere(*, actor: Actor, scopes: tuple[str, ...]) -> bool:
    """Tell whether the actor holds `scopes` on every site it may see, whatever its roles there."""
    return actor.sees_all_sites and all(actor.holds(scope) for scope in scopes)


def _held(actor: Actor, roles: Iterable[Collection[str] | None]) -> frozenset[str]:
    """Return the scopes of the global role and of site roles, within the credential's limits."""
    held = set(actor.role_scopes) if actor.sees_all_sites else set()
    for effective in roles:
        held.update(effective or ())
    return actor.limit(held)


def _require(held: frozenset[str], scopes: tuple[str, ...]) -> None:
    missing = [scope for scope in scopes if scope not in held]
    if missing:
        raise ForbiddenError.missing_scopes(required=scopes, missing=missing)
