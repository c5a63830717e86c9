"""There is always somebody who can administer the installation."""

from sqlalchemy import or_, select

from core.errors import ConflictError, ErrorCode
from models.engine import db
from models.roles import Role
from models.users import User

ADMIN_SCOPE = "admin"


def require_an_admin() -> None:
    """Refuse a change that would leave no active user who can sign in and use `admin`.

    Where the role demands a second factor, only people who have set one up count.

    Call it after the change and after `audit.record`, inside the same transaction: the update of
    the chain's head makes writers take turns on every database, so that two administrators
    can't demote each other at the same moment.

    Raises:
        ConflictError: `last_admin`.
    """
    db.session.flush()  # the change must be seen by the query below
    manned = (
        select(Role.id)
        .join(User, User.role_id == Role.id)
        .where(
            User.is_active.is_(True),
            User.password_hash.is_not(None),
            or_(Role.requires_totp.is_(False), User.totp_confirmed_at.is_not(None)),
        )
    )
    effective = db.session.scalars(select(Role.effective).where(Role.id.in_(manned))).all()
    if not any(ADMIN_SCOPE in scopes for scopes in effective):
        raise ConflictError(
            "This would leave nobody who can administer the installation. Who lacks the second "
            "factor that their role asks for does not count.",
            code=ErrorCode.LAST_ADMIN,
        )
