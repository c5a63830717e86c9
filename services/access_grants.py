"""Roles on sites for a time: given when an access request is carried out, ended by the clock.

Or by somebody who manages the members of the site, before their time.
"""

from datetime import timedelta

from sqlalchemy import select, update

from core.clock import isoformat, utc_now
from core.errors import ConflictError, ErrorCode, ForbiddenError
from models.access_grants import AccessGrant
from models.engine import db
from models.requests import ChangeRequest, RequestExecution, RequestType
from models.roles import Role
from models.users import User
from services import access, grants, request_log
from services.actors import Actor, Via, system_actor
from services.permissions import RoleKind
from services.transaction import changed_rows, repeatable, transaction


def obstacles(*, request: ChangeRequest) -> list[dict[str, object]]:
    """Return why access cannot be given any more, as `{field, old, new}`."""
    user = request.beneficiary
    if request.type is not RequestType.ACCESS or user is None or user.is_active:
        return []
    return [{"field": "user_active", "old": True, "new": False}]


def activate(*, request: ChangeRequest) -> dict[str, object]:
    """Give the role now; the time counts from here. Call inside a transaction.

    Returns:
        What the request came to, as JSON values.

    Raises:
        ConflictError: user, role or site are gone.
        ForbiddenError: nobody approved it, and who gives it holds the rights for a time only.
    """
    role = db.session.scalar(
        select(Role).where(
            Role.name == request.payload.get("role"), Role.kind == RoleKind.SITE.value
        )
    )
    user, site, hours = request.beneficiary, request.site, request.payload.get("duration_hours")
    if role is None or user is None or site is None or not isinstance(hours, int):
        raise ConflictError(
            "The user, the role or the site is gone.", code=ErrorCode.APPROVAL_STALE
        )
    _require_giver(request, role, site.id)
    starts_at = utc_now()
    expires_at = starts_at + timedelta(hours=hours)
    db.session.add(
        AccessGrant(
            request_id=request.id,
            site_id=site.id,
            user_id=user.id,
            role_id=role.id,
            starts_at=starts_at,
            expires_at=expires_at,
        )
    )
    db.session.flush()  # UNIQUE(request) refuses a second grant here
    return {
        "role": role.name,
        "site": site.slug,
        "starts_at": isoformat(starts_at),
        "expires_at": isoformat(expires_at),
    }


def revoke(*, actor: Actor, grant: AccessGrant) -> None:
    """End a grant before its time; call inside a transaction."""
    now = utc_now()
    statement = update(AccessGrant).where(
        AccessGrant.id == grant.id, AccessGrant.revoked_at.is_(None)
    )
    if changed_rows(statement.values(revoked_at=now)) == 0:
        return
    request_log.note(
        actor=actor,
        request=grant.request,
        kind="grant_revoked",
        detail={"expires_at": isoformat(grant.expires_at)},
    )


def _require_giver(request: ChangeRequest, role: Role, site_id: int) -> None:
    """Where nobody approved, the rights are those of who carries it out: held for good.

    Otherwise whoever has a role for a time would give it to themselves again and again. What runs
    by itself is given by the requester.
    """
    if request.required_approvals > 0 or request.emergency:
        return
    begun = db.session.scalars(
        select(RequestExecution).where(
            RequestExecution.request_id == request.id, RequestExecution.attempt == request.attempts
        )
    ).one()
    giver_id = request.requester_id if begun.via == Via.SYSTEM.value else begun.user_id
    giver = db.session.get(User, giver_id) if giver_id is not None else None
    if giver is None:
        return  # the owner of the host
    held = set(giver.role.effective) if giver.role.sees_all_sites else set()
    held.update(*access.member_roles(user_id=giver.id, site_id=site_id))
    missing = set(role.effective) - held
    if missing:
        raise ForbiddenError(
            grants.LENT,
            code=ErrorCode.SCOPE_NOT_HELD,
            members={"required": sorted(role.effective), "missing": sorted(missing)},
        )


def end_expired() -> int:
    """Note that grants have run out; they stopped counting at that moment by themselves."""
    due = db.session.scalars(
        select(AccessGrant.id).where(
            AccessGrant.revoked_at.is_(None), AccessGrant.expires_at <= utc_now()
        )
    ).all()
    for grant_id in due:
        _end(grant_id)
    return len(due)


@repeatable()
def _end(grant_id: int) -> None:
    with transaction() as session:
        grant = session.get(AccessGrant, grant_id, with_for_update={"of": AccessGrant})
        if grant is None or grant.revoked_at is not None:
            return
        grant.revoked_at = utc_now()
        request_log.note(
            actor=system_actor(),
            request=grant.request,
            kind="grant_ended",
            detail={"expires_at": isoformat(grant.expires_at)},
        )
