"""Which sites an actor may see, and what it may do on one of them."""

from collections.abc import Collection

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from core.errors import ForbiddenError, NotFoundError
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from services.actors import Actor
from services.transaction import is_open

_KEPT = "relevo_site_looked_up"


def visible_sites(*, actor: Actor) -> Select[Site]:
    """Return a query limited to the sites the actor may know of.

    A membership or a role that sees all sites makes a site visible; a token's list of sites
    takes visibility away again.
    """
    query = select(Site)
    if not actor.sees_all_sites:
        mine = select(Membership.site_id).where(Membership.user_id == actor.user_id)
        query = query.where(Site.id.in_(mine))
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
        raise NotFoundError("There is no such site, or you may not see it.")
    site, effective = found
    _require(_held(actor, effective), scopes)
    return site


def _look_up(actor: Actor, slug: str) -> tuple[Site, Collection[str] | None] | None:
    """Read a site and the permissions of the actor's role on it.

    Doors look before services do; what was read stays good for the same reading transaction.
    """
    session: Session = db.session()
    asked = (session.get_transaction(), actor, slug)
    kept = session.info.get(_KEPT)
    if kept is not None and asked[0] is not None and kept[0] == asked and not is_open():
        found: tuple[Site, Collection[str] | None] | None = kept[1]
        return found
    membership = and_(Membership.site_id == Site.id, Membership.user_id == actor.user_id)
    row = session.execute(
        visible_sites(actor=actor)
        .where(Site.slug == slug)
        .add_columns(Role.effective)
        .outerjoin(Membership, membership)
        .outerjoin(Role, Role.id == Membership.role_id)
    ).first()
    found = None if row is None else (row[0], row[1])
    session.info[_KEPT] = ((session.get_transaction(), actor, slug), found)
    return found


def site_scopes(*, actor: Actor, site: Site) -> frozenset[str]:
    """Return the scopes the actor holds on this site, token limits applied."""
    effective = db.session.scalar(
        select(Role.effective)
        .join(Membership, Membership.role_id == Role.id)
        .where(Membership.site_id == site.id, Membership.user_id == actor.user_id)
    )
    return _held(actor, effective)


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
        raise ForbiddenError(
            f"This token is limited to other environments than {environment}.",
            members={"required": [scope], "missing": [scope]},
        )


def _held(actor: Actor, effective: Collection[str] | None) -> frozenset[str]:
    """Return the scopes of the global role and of the site role, within the credential's limits."""
    everywhere = actor.role_scopes if actor.sees_all_sites else frozenset()
    return actor.limit(everywhere | frozenset(effective or ()))


def _require(held: frozenset[str], scopes: tuple[str, ...]) -> None:
    missing = [scope for scope in scopes if scope not in held]
    if missing:
        raise ForbiddenError.missing_scopes(required=scopes, missing=missing)
