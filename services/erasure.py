"""Erase people: what tells who they were goes, what they did stays."""

from sqlalchemy import delete, update

from core.clock import utc_now
from models.access_grants import AccessGrant
from models.environments import Environment
from models.sessions import UserSession
from models.sites import Membership
from models.tokens import ApiToken
from models.users import Contact, OneTimeToken
from services.actors import Actor
from services.admins import require_an_admin
from services.audit import record
from services.permissions import DEFAULT_ROLE
from services.totp import clear as clear_totp
from services.transaction import transaction
from services.users import bump, find_for_change, global_role, lock_out, user_target


def erase(*, actor: Actor, username: str) -> None:
    """Remove everything that tells who somebody was; what they did stays, by number.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: users:write is missing, or the user holds more rights than the actor.
        ConflictError: it is the last administrator.
    """
    with transaction() as session:
        user = find_for_change(actor=actor, username=username)
        bump(user, None)
        lock_out(user)
        clear_totp(user=user)
        named, user.username = user.username, f"erased-{user.id}"
        for column in (Environment.locked_by, Environment.held_by):
            session.execute(
                update(Environment)
                .where(column == named)
                .values({column: user.username, Environment.version: Environment.version + 1})
            )
        user.role = global_role(DEFAULT_ROLE)
        user.email = None
        user.password_hash = None
        user.last_login_at = None
        user.erased_at = utc_now()
        for table in (Contact, OneTimeToken, UserSession, Membership, AccessGrant):
            session.execute(delete(table).where(table.user_id == user.id))
        session.execute(
            update(ApiToken)
            .where(ApiToken.user_id == user.id)
            .values(name="erased", last_used_address=None, revoked_at=utc_now())
        )
        record(actor=actor, action="user.erased", target=user_target(user))
        require_an_admin()
