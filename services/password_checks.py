"""Ask for the password again before something that only the person itself may do."""

from sqlalchemy import select

from core.errors import ErrorCode, ForbiddenError, InvalidInputError
from models.engine import db
from models.users import User
from services import throttle
from services.actors import Actor, Via
from services.audit import Target, record
from services.passwords import verify


def confirm(*, actor: Actor, password: str, pointer: str) -> None:
    """Refuse unless this is the password of the person who is signed in.

    Raises:
        ForbiddenError: `session_required`, not a person who signed in.
        ThrottledError: too many wrong attempts.
        InvalidInputError: the password is wrong; `pointer` says which input.
    """
    user = db.session.scalar(select(User).where(User.id == actor.user_id))
    if actor.via is not Via.SESSION or user is None:
        raise ForbiddenError(
            "This is done by a person who is signed in, not by a token.",
            code=ErrorCode.SESSION_REQUIRED,
        )
    key = throttle.attempt_key(purpose="login", account=user.username, address=actor.address)
    claimed = throttle.claim(key)
    if not verify(user.password_hash, password).right:
        target = Target(type="user", id=str(user.id))
        record(actor=actor, action="password.confirmation_refused", target=target)
        raise InvalidInputError.field(pointer, "is not right", code="wrong")
    throttle.forgive(claimed)
