"""Which sites somebody may know of, and by what roles, as parts of prepared statements.

Every call about a site asks this. The parts are of plain tables with named parameters, so that
statements are built once and found again without comparing them piece by piece.
"""

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, exists, or_

from core.clock import utc_now
from models.access_grants import AccessGrant
from models.engine import Base
from models.roles import Role
from models.sites import Membership, Site
from models.types import UtcDateTime
from services.actors import Actor

sites, members, roles, grants = (
    Base.metadata.tables[model.__tablename__] for model in (Site, Membership, Role, AccessGrant)
)
_MINE = and_(members.c.site_id == sites.c.id, members.c.user_id == bindparam("user"))
_GRANTED = and_(
    grants.c.site_id == sites.c.id,
    grants.c.user_id == bindparam("user"),
    grants.c.revoked_at.is_(None),
    grants.c.expires_at > bindparam("now", type_=UtcDateTime()),
)
KNOWN = or_(exists().where(_MINE), exists().where(_GRANTED))
KNOWN_JOINED = or_(members.c.user_id.is_not(None), grants.c.user_id.is_not(None))
"""The same where `with_roles` has joined what there is."""


def with_roles(place: FromClause) -> FromClause:
    """Join the caller's roles on each site of `place`: by membership and by grants."""
    return (
        place.outerjoin(members, _MINE)
        .outerjoin(grants, _GRANTED)
        .outerjoin(roles, or_(roles.c.id == members.c.role_id, roles.c.id == grants.c.role_id))
    )


def visible(
    sees_all: bool, is_limited: bool, known: ColumnElement[bool] = KNOWN
) -> list[ColumnElement[bool]]:
    """Return what `access.visible_sites` asks for, with parameters."""
    conditions = [] if sees_all else [known]
    if is_limited:
        conditions.append(sites.c.id.in_(bindparam("sites", expanding=True)))
    return conditions


def about(*, actor: Actor) -> dict[str, object]:
    """Return the parameters of all these parts."""
    return {"user": actor.user_id, "now": utc_now(), **limits(actor=actor)}


def limits(*, actor: Actor) -> dict[str, object]:
    """Return the parameters of what is visible to an actor that sees all sites."""
    listed = actor.token_site_ids
    return {} if listed is None else {"sites": sorted(listed)}
