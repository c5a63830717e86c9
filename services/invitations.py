"""Invitations and reset links: single-use ways to set a password without the present one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import ErrorCode, UnauthenticatedError
from core.ids import hash_secret, new_secret
from core.settings import current_settings
from models.engine import db
from models.users import OneTimeToken, User
from services import mail
from services.actors import Actor, Via
from services.audit import Target, record
from services.passwords import check_strength, hash_password, is_short
from services.sessions import EndReason, end_sessions
from services.transaction import changed_rows, transaction

INVITATION_DAYS = 7
RESET_MINUTES = 30
LINK_PATH = "/reset"


class LinkKind(StrEnum):
    """Why a link was made."""

    INVITATION = "invitation"
    RESET = "reset"


@dataclass(frozen=True)
class Link:
    """A fresh link; its secret is shown this once and kept as a hash."""

    url: str
    expires_at: datetime


def make_link(*, actor: Actor, user: User, kind: LinkKind) -> Link:
    """Make a link for `user`; earlier ones stop working. It is mailed too when mail is set up.

    The secret stands after the `#`, so that it reaches neither the server's log nor a proxy's.
    """
    secret, now = new_secret(), utc_now()
    lifetime = (
        timedelta(days=INVITATION_DAYS)
        if kind is LinkKind.INVITATION
        else timedelta(minutes=RESET_MINUTES)
    )
    with transaction() as session:
        _use_up(user.id, now)
        session.add(
            OneTimeToken(
                user_id=user.id,
                token_hash=hash_secret(secret),
                kind=kind.value,
                created_at=now,
                expires_at=now + lifetime,
            )
        )
        record(actor=actor, action=f"{kind}.created", target=Target(type="user", id=str(user.id)))
        url = f"{current_settings().public_url}{LINK_PATH}#token={secret}"
        link = Link(url=url, expires_at=now + lifetime)
        subject, text = _letter(user, kind, link)
        mail.write_to(user=user, subject=subject, text=text)
    return link


def reset_password(
    *, token: str, new_password: str, address: str | None, request_id: str | None
) -> None:
    """Set the password of whoever the link was made for, and end all their sessions.

    A second factor stays on: the next login still asks for it.

    Raises:
        UnauthenticatedError: the link is unknown, used, expired, or its user deactivated.
        InvalidInputError: the password is too weak; the link can be used again.
    """
    user = _owner_of(token)
    check_strength(
        new_password,
        pointer="/new_password",
        names=(user.username, user.email),
        has_totp=user.totp_enabled,
    )
    password_hash, now = hash_password(new_password), utc_now()
    actor = Actor(
        via=Via.SESSION,
        user_id=user.id,
        username=user.username,
        role=None,
        address=address,
        request_id=request_id,
    )
    with transaction():
        user = _owner_of(token)
        _claim(token, now)
        _use_up(user.id, now)
        user.password_hash = password_hash
        user.password_is_short = is_short(new_password)
        user.token_version += 1
        user.version += 1
        user.updated_at = now
        end_sessions(user_id=user.id, reason=EndReason.PASSWORD)
        target = Target(type="user", id=str(user.id))
        record(actor=actor, action="password.reset", target=target)


def _letter(user: User, kind: LinkKind, link: Link) -> tuple[str, str]:
    """Return subject and text of the mail with a link."""
    place = urlsplit(current_settings().public_url).netloc
    until = link.expires_at.strftime("%Y-%m-%d %H:%M UTC")
    end = f"It works once, until {until}. If you did not expect it, ignore it.\n"
    if kind is LinkKind.INVITATION:
        said = f"You were invited to Relevo at {place} as {user.username}.\nChoose a password:"
        return f"Invitation to {place}", f"{said}\n\n{link.url}\n\n{end}"
    said = f"Here you can set a new password for {user.username} at {place}:"
    return f"New password for {place}", f"{said}\n\n{link.url}\n\n{end}"


def _owner_of(token: str) -> User:
    row = db.session.execute(
        select(OneTimeToken, User)
        .join(User, User.id == OneTimeToken.user_id)
        .where(OneTimeToken.token_hash == hash_secret(token))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None or row.OneTimeToken.used_at is not None or not row.User.is_active:
        raise UnauthenticatedError("The link is not valid or was used.")
    if row.OneTimeToken.expires_at <= utc_now():
        raise UnauthenticatedError("The link has expired.", code=ErrorCode.TOKEN_EXPIRED)
    user: User = row.User
    return user


def _claim(token: str, now: datetime) -> None:
    """Use the link, unless another call was faster."""
    claimed = changed_rows(
        update(OneTimeToken)
        .where(OneTimeToken.token_hash == hash_secret(token), OneTimeToken.used_at.is_(None))
        .values(used_at=now)
    )
    if claimed != 1:
        raise UnauthenticatedError("The link is not valid or was used.")


def _use_up(user_id: int, now: datetime) -> None:
    db.session.execute(
        update(OneTimeToken)
        .where(OneTimeToken.user_id == user_id, OneTimeToken.used_at.is_(None))
        .values(used_at=now)
    )
