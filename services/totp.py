"""The second factor: time-based codes and ten recovery codes."""

import base64
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import pyotp
from sqlalchemy import delete, or_, select, update

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, ForbiddenError, InvalidInputError, NotFoundError
from core.ids import hash_secret
from models.engine import db
from models.users import RecoveryCode, User
from services import password_checks, throttle
from services.actors import Actor, Via
from services.admins import require_an_admin
from services.audit import Target, record
from services.crypto import decrypt, encrypt
from services.sessions import EndReason, end_sessions
from services.transaction import changed_rows, transaction

ISSUER = "Relevo"
STEP_SECONDS = 30
DRIFT_STEPS = 1
RECOVERY_CODES = 10
_CODE_LENGTH = 6
_RECOVERY_BYTES = 10


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator needs; shown once."""

    secret: str
    otpauth_uri: str


def begin(*, actor: Actor) -> Enrolment:
    """Make a secret for the actor; it counts once a code of it was confirmed.

    Raises:
        ForbiddenError: by token.
        ConflictError: a second factor is on already.
    """
    secret = pyotp.random_base32()
    with transaction():
        user = _own(actor)
        if user.totp_enabled:
            raise ConflictError("A second factor is set up already; remove it first.")
        user.totp_secret = encrypt(secret)
        user.totp_last_step = None
        record(actor=actor, action="totp.begun", target=_target(user))
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=ISSUER)
    return Enrolment(secret=secret, otpauth_uri=uri)


def confirm(*, actor: Actor, otp: str) -> Sequence[str]:
    """Turn the second factor on and return the recovery codes, this once.

    Raises:
        ForbiddenError: by token.
        ConflictError: it is on already.
        InvalidInputError: nothing was begun, or the code is not right.
    """
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    with transaction() as session:
        user = _own(actor)
        if user.totp_enabled:
            raise ConflictError("A second factor is set up already.")
        step = _step_of(user, otp) if user.totp_secret else None
        if step is None:
            raise InvalidInputError.field("/otp", "is not the current code")
        user.totp_confirmed_at = utc_now()
        user.totp_last_step = step
        user.version += 1
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
        session.add_all(
            RecoveryCode(user_id=user.id, code_hash=_recovery_hash(code)) for code in codes
        )
        record(actor=actor, action="totp.enabled", target=_target(user))
    return codes


def remove_own(*, actor: Actor, password: str | None = None, otp: str | None = None) -> None:
    """Turn the actor's second factor off; a stolen access token alone is not enough for that.

    Args:
        password: the actor's password; it or `otp` is needed once the factor counts.
        otp: a code of the second factor, or one of the recovery codes.

    Raises:
        ForbiddenError: by token.
        NotFoundError: there is none.
        InvalidInputError: neither is given or it is wrong, or the password is too short to stand
            alone.
        ThrottledError: too many wrong attempts.
        ConflictError: `last_admin`, the role asks for a second factor and nobody else has one.
    """
    user = _own(actor)
    if user.totp_secret is None:
        raise NotFoundError("There is no second factor.")
    if user.password_is_short:
        raise InvalidInputError("The password is too short to stand alone; set a longer one first.")
    if user.totp_enabled:
        _confirm_person(actor, user, password, otp)
    with transaction():
        user = _own(actor)
        clear(user=user)
        record(actor=actor, action="totp.disabled", target=_target(user))
        if user.role.requires_totp:
            require_an_admin()


def _confirm_person(actor: Actor, user: User, password: str | None, otp: str | None) -> None:
    if otp is not None:
        if not accept_code(user=user, otp=otp):
            raise InvalidInputError.field("/otp", "is not the current code", code="wrong")
    elif password is not None:
        password_checks.confirm(actor=actor, password=password, pointer="/password")
    else:
        raise InvalidInputError.field(
            "/password", "send the password, or a code as `otp`", code="required"
        )


def remove_of(*, actor: Actor, user: User) -> bool:
    """Turn off the second factor of somebody who lost it; for the command line.

    A password that is too short to stand alone stops working, and so do the sessions.

    Returns:
        Whether the password still works; if not, its owner needs a link to set another one.
    """
    with transaction():
        clear(user=user)
        record(actor=actor, action="totp.disabled", target=_target(user))
        if not user.password_is_short:
            return True
        user.password_hash, user.password_is_short = None, False
        end_sessions(user_id=user.id, reason=EndReason.PASSWORD)
        record(actor=actor, action="password.disabled", target=_target(user))
    return False


def clear(*, user: User) -> None:
    """Forget secret and recovery codes of `user`."""
    with transaction() as session:
        user.totp_secret = None
        user.totp_confirmed_at = None
        user.totp_last_step = None
        user.version += 1
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def accept_code(*, user: User, otp: str) -> bool:
    """Tell whether `otp` is right for somebody whose password was; each code works once.

    Wrong codes are counted for the account, whatever the address: whoever gets here knows the
    password.

    Raises:
        ThrottledError: too many wrong codes.
    """
    key = throttle.attempt_key(purpose="otp", account=str(user.id), address=None)
    claimed = throttle.claim(key)
    right = _use_step(user, otp) or _use_recovery_code(user, otp)
    if right:
        throttle.forgive(claimed)
    return right


def _use_step(user: User, otp: str) -> bool:
    step = _step_of(user, otp)
    if step is None:
        return False
    with transaction():
        moved = changed_rows(
            update(User)
            .where(
                User.id == user.id,
                or_(User.totp_last_step.is_(None), User.totp_last_step < step),
            )
            .values(totp_last_step=step)
        )
    return moved == 1


def _step_of(user: User, otp: str) -> int | None:
    """Return the time step whose code `otp` is, one step to either side allowed."""
    code = "".join(otp.split())
    if user.totp_secret is None or len(code) != _CODE_LENGTH or not code.isascii():
        return None
    generator = pyotp.TOTP(decrypt(user.totp_secret))
    now = int(utc_now().timestamp()) // STEP_SECONDS
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(generator.generate_otp(step), code):
            return step
    return None


def _use_recovery_code(user: User, otp: str) -> bool:
    with transaction():
        used = changed_rows(
            update(RecoveryCode)
            .where(
                RecoveryCode.user_id == user.id,
                RecoveryCode.code_hash == _recovery_hash(otp),
                RecoveryCode.used_at.is_(None),
            )
            .values(used_at=utc_now())
        )
    return used == 1


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _recovery_hash(code: str) -> str:
    """Return the hash of a code however it was typed; 80 random bits need no slow hash."""
    return hash_secret("".join(sign for sign in code.lower() if sign.isalnum()))


def _own(actor: Actor) -> User:
    if actor.via is not Via.SESSION:
        raise ForbiddenError(
            "A second factor is changed by a person who logged in.",
            code=ErrorCode.SESSION_REQUIRED,
        )
    user = db.session.scalar(select(User).where(User.id == actor.user_id))
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def _target(user: User) -> Target:
    return Target(type="user", id=str(user.id))
