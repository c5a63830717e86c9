"""Attempts that went beyond somebody's rights, for the audit trail."""

from core.errors import ErrorCode
from services.actors import Actor
from services.audit import Target, record

NOTED = frozenset(
    {
        ErrorCode.SCOPE_MISSING,
        ErrorCode.SCOPE_NOT_HELD,
        ErrorCode.SESSION_REQUIRED,
        ErrorCode.LAST_ADMIN,
    }
)


def note(*, actor: Actor, operation: str, code: ErrorCode) -> None:
    """Record that `actor` was refused.

    Args:
        operation: method and route, such as `PATCH /api/v1/users/<username>`; the route and not
            the address, which may hold a name that is erased one day.
        code: why; other refusals than those for want of rights are not noted.
    """
    if code in NOTED:
        target = Target(type="operation", id=operation)
        record(actor=actor, action="access.refused", target=target, after={"code": code.value})
