"""What a credential is and may do."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select

from models.access_grants import AccessGrant
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from services.access import grant_counts, visible_sites
from services.actors import Actor


@dataclass(frozen=True, kw_only=True)
class Whoami:
    """The actor in words; `sites` is None when all sites are in reach."""

    kind: str
    user: str | None
    role: str | None
    scopes: list[str]
    sites: list[str] | None
    expires_at: datetime | None
    address: str | None


def describe(*, actor: Actor) -> Whoami:
    """Tell what the credential in use is, and what it may do somewhere."""
    return Whoami(
        kind=actor.via.value,
        user=actor.username,
        role=actor.role,
        scopes=sorted(scopes_anywhere(actor=actor)),
        sites=_sites(actor),
        expires_at=actor.expires_at,
        address=actor.address,
    )


def scopes_anywhere(*, actor: Actor, site_ids: frozenset[int] | None = None) -> frozenset[str]:
    """Return what the actor holds everywhere or on any site within reach.

    Args:
        site_ids: look at the memberships of these sites only.
    """
    member = select(Membership.role_id).where(Membership.user_id == actor.user_id)
    granted = select(AccessGrant.role_id).where(
        AccessGrant.user_id == actor.user_id, grant_counts()
    )
    for limit in (site_ids, actor.token_site_ids):
        if limit is not None:
            member = member.where(Membership.site_id.in_(limit))
            granted = granted.where(AccessGrant.site_id.in_(limit))
    held = set(actor.role_scopes)
    query = select(Role.effective).where(or_(Role.id.in_(member), Role.id.in_(granted)))
    for effective in db.session.scalars(query):
        held.update(effective)
    return actor.limit(held)


def _sites(actor: Actor) -> list[str] | None:
    if actor.sees_all_sites and actor.token_site_ids is None:
        return None
    reach = visible_sites(actor=actor).order_by(Site.slug)
    return [site.slug for site in db.session.scalars(reach)]
