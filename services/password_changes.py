"""People changing their own password."""

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ErrorCode, ForbiddenError, InvalidInputError, NotFoundError
from models.engine import db
from models.users import User
from services import throttle
from services.actors import Actor, Via
from services.audit import Target, record
from services.passwords import check_strength, hash_password, is_short, verify
from services.sessions import EndReason, end_sessions
from services.transaction import transaction


def change_own_password(*, actor: Actor, current_password: str, new_password: str) -> None:
    """Replace the actor's password; the session in use stays, all others end.

    Raises:
        ForbiddenError: by token.
        ThrottledError: too many wrong attempts.
        InvalidInputError: the present password is wrong, or the new one too weak.
    """
    if actor.via is not Via.SESSION:
        raise ForbiddenError(
            "Passwords are changed by a person who logged in.", code=ErrorCode.SESSION_REQUIRED
        )
    user = _own(actor)
    check_strength(
        new_password,
        pointer="/new_password",
        names=(user.username, user.email),
        has_totp=user.totp_enabled,
    )
    _confirm(actor, user, current_password)
    _replace(actor, user, new_password)


def set_password(*, actor: Actor, user: User, new_password: str) -> None:
    """Set anybody's password; all their sessions end. For the command line.

    Raises:
        InvalidInputError: the password is too weak.
    """
    check_strength(
        new_password,
        pointer="/password",
        names=(user.username, user.email),
        has_totp=user.totp_enabled,
    )
    _replace(actor, user, new_password)


def _confirm(actor: Actor, user: User, current_password: str) -> None:
    key = throttle.attempt_key(purpose="login", account=user.username, address=actor.address)
    claimed = throttle.claim(key)
    if not verify(user.password_hash, current_password).right:
        target = Target(type="user", id=str(user.id))
        record(actor=actor, action="password.change_refused", target=target)
        raise InvalidInputError.field("/current_password", "is not right", code="wrong")
    throttle.forgive(claimed)


def _replace(actor: Actor, user: User, new_password: str) -> None:
    password_hash = hash_password(new_password)
    with transaction():
        user.password_hash = password_hash
        user.password_is_short = is_short(new_password)
        user.version += 1
        user.updated_at = utc_now()
        end_sessions(user_id=user.id, reason=EndReason.PASSWORD, except_id=actor.session_id)
        target = Target(type="user", id=str(user.id))
        record(actor=actor, action="password.changed", target=target)


def _own(actor: Actor) -> User:
    user = db.session.scalar(select(User).where(User.id == actor.user_id))
    if user is None:
        raise NotFoundError("There is no such user.")
    return user
