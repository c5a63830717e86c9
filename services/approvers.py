"""Who may approve a request: judged by what people hold at this moment."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import or_, select

from models.access_grants import AccessGrant
from models.engine import db
from models.roles import Role
from models.sites import Membership
from models.users import User
from services.access import grant_counts

REVIEW = "requests:review"


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """What a vote needs: scopes on a site (or everywhere), perhaps a role, and not being one
    of `excluded`.
    """

    site_id: int | None
    scopes: frozenset[str] = frozenset({REVIEW})
    role_id: int | None = None
    excluded: frozenset[int] = frozenset()


def eligible(*, ballot: Ballot) -> frozenset[int]:
    """Return the ids of all active users whose vote would count now."""
    roles = {role.id: role for role in db.session.scalars(select(Role))}
    local = _site_roles(ballot.site_id)
    everywhere = [role.id for role in roles.values() if role.sees_all_sites]
    users = db.session.execute(
        select(User.id, User.role_id, User.totp_confirmed_at)
        .where(User.is_active.is_(True), User.erased_at.is_(None))
        .where(or_(User.role_id.in_(everywhere), User.id.in_(local)))
    )
    found = set()
    for user_id, role_id, totp in users:
        own = roles[role_id]
        if own.requires_totp and totp is None:
            continue
        held = {*([own] if own.sees_all_sites else []), *(roles[key] for key in local[user_id])}
        scopes = {scope for role in held for scope in role.effective}
        names = {role_id, *local[user_id]}
        if ballot.scopes <= scopes and (ballot.role_id is None or ballot.role_id in names):
            found.add(user_id)
    return frozenset(found - ballot.excluded)


def _site_roles(site_id: int | None) -> dict[int, set[int]]:
    """Return the ids of the roles of each user on a site, by membership and by grants."""
    found: dict[int, set[int]] = defaultdict(set)
    if site_id is None:
        return found
    members = select(Membership.user_id, Membership.role_id).where(Membership.site_id == site_id)
    granted = (
        select(AccessGrant.user_id, Role.id)
        .join(Role, Role.id == AccessGrant.role_id)
        .where(AccessGrant.site_id == site_id, grant_counts())
    )
    for query in (members, granted):
        for user_id, role_id in db.session.execute(query):
            found[user_id].add(role_id)
    return found
