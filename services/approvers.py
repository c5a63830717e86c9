"""Who may approve a request: judged by what people hold at this moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Select, or_, select

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

    The scopes beyond `requests:review` are those that are given away by it. They must be held for
    good: what a grant lends for a time is nobody's to give.
    """

    site_id: int | None
    scopes: frozenset[str] = frozenset({REVIEW})
    role_id: int | None = None
    excluded: frozenset[int] = frozenset()


def eligible(*, ballot: Ballot) -> frozenset[int]:
    """Return the ids of all active users whose vote would count now."""
    roles = {role.id: role for role in db.session.scalars(select(Role))}
    members, granted = _members(ballot.site_id), _granted(ballot.site_id)
    everywhere = [role.id for role in roles.values() if role.sees_all_sites]
    users = db.session.execute(
        select(User.id, User.role_id, User.totp_confirmed_at)
        .where(User.is_active.is_(True), User.erased_at.is_(None))
        .where(or_(User.role_id.in_(everywhere), User.id.in_({*members, *granted})))
    )
    found = set()
    for user_id, role_id, totp in users:
        own = roles[role_id]
        if own.requires_totp and totp is None:
            continue
        lasting = {*([role_id] if own.sees_all_sites else []), *members[user_id]}
        scopes = _scopes(roles, lasting)
        votes = ballot.scopes - {REVIEW} <= scopes
        votes &= ballot.scopes <= scopes | _scopes(roles, granted[user_id])
        names = {role_id, *members[user_id], *granted[user_id]}
        if votes and (ballot.role_id is None or ballot.role_id in names):
            found.add(user_id)
    return frozenset(found - ballot.excluded)


def _scopes(roles: Mapping[int, Role], held: Iterable[int]) -> set[str]:
    return {scope for key in held for scope in roles[key].effective}


def _members(site_id: int | None) -> dict[int, set[int]]:
    """Return the id of the role of each member of a site."""
    query = select(Membership.user_id, Membership.role_id).where(Membership.site_id == site_id)
    return _by_user(query)


def _granted(site_id: int | None) -> dict[int, set[int]]:
    """Return the ids of the roles that each user holds on a site for a time."""
    query = (
        select(AccessGrant.user_id, Role.id)
        .join(Role, Role.id == AccessGrant.role_id)
        .where(AccessGrant.site_id == site_id, grant_counts())
    )
    return _by_user(query)


def _by_user(query: Select[int, int]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for user_id, role_id in db.session.execute(query):
        found[user_id].add(role_id)
    return found
