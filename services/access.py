"""Which sites an actor may see, and what it may do on one of them."""

from sqlalchemy import Select, select

from core.errors import ForbiddenError, NotFoundError
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from services.actors import Actor


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
    site = db.session.scalar(visible_sites(actor=actor).where(Site.slug == slug))
    if site is None:
        raise NotFoundError("There is no such site, or you may not see it.")
    require_on_site(actor=actor, site=site, scopes=scopes)
    return site


def site_scopes(*, actor: Actor, site: Site) -> frozenset[str]:
    """Return the scopes the actor holds on this site, token limits applied."""
    held = set(actor.role_scopes) if actor.sees_all_sites else set()
    if actor.user_id is not None:
        effective = db.session.scalar(
            select(Role.effective)
            .join(Membership, Membership.role_id == Role.id)
            .where(Membership.site_id == site.id, Membership.user_id == actor.user_id)
        )
        held.update(effective or ())
    return actor.limit(held)


def require_on_site(*, actor: Actor, site: Site, scopes: tuple[str, ...]) -> None:
    """Refuse unless the actor holds all of `scopes` on this site.

    Raises:
        ForbiddenError: with the scopes required and missing.
    """
    held = site_scopes(actor=actor, site=site)
    missing = [scope for scope in scopes if scope not in held]
    if missing:
        raise ForbiddenError.missing_scopes(required=scopes, missing=missing)


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
