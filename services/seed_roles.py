"""The rows that an installation starts with: shipped roles and the head of the audit chain."""

from sqlalchemy import select

from core.clock import utc_now
from models.audit import AuditHead
from models.roles import Role
from services.audit import GENESIS_HASH, HEAD_ID
from services.permissions import SHIPPED_ROLES, RoleKind, ShippedRole
from services.transaction import transaction

_UNEDITED = 1


def ensure_roles() -> None:
    """Create the shipped roles and the head of the audit chain where they are missing.

    A shipped role that nobody edited follows the program: a later release may add permissions.
    An edited one stays as it is.
    """
    with transaction() as session:
        if session.get(AuditHead, HEAD_ID) is None:
            session.add(AuditHead(id=HEAD_ID, count=0, last_hash=GENESIS_HASH))
        present = {role.name: role for role in session.scalars(select(Role))}
        for shipped in SHIPPED_ROLES:
            role = present.get(shipped.name)
            if role is None:
                session.add(_new_role(shipped))
            elif role.shipped and role.version == _UNEDITED:
                _follow(role, shipped)


def _new_role(shipped: ShippedRole) -> Role:
    now = utc_now()
    role = Role(
        name=shipped.name,
        kind=shipped.kind.value,
        requires_totp=False,
        shipped=True,
        version=_UNEDITED,
        created_at=now,
        updated_at=now,
    )
    _follow(role, shipped)
    return role


def _follow(role: Role, shipped: ShippedRole) -> None:
    permissions = sorted(shipped.permissions)
    if role.permissions == permissions and role.description == shipped.description:
        return
    role.description = shipped.description
    role.permissions = permissions
    role.effective = permissions
    role.sees_all_sites = shipped.kind is RoleKind.GLOBAL and "sites:read" in permissions
