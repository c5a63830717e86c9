"""Sessions: what a sign-in leaves behind, refreshed by single-use tokens and ended at will."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
)
from core.ids import hash_secret, new_public_id, new_secret
from core.settings import current_settings
from models.engine import db
from models.sessions import RefreshToken, UserSession
from models.users import User
from services.actors import Actor, Via
from services.audit import Target, record
from services.credentials import actor_for_session as actor_for_session
from services.paging import Page, PageRequest, paginate
from services.transaction import changed_rows, repeatable, transaction

REFRESH_GRACE = timedelta(seconds=10)
MAX_USER_AGENT = 255
SORTABLE = {"created_at": UserSession.created_at, "last_seen_at": UserSession.last_seen_at}


class EndReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    ENDED = "ended"
    PASSWORD = "password"
    DEACTIVATED = "deactivated"
    REUSE = "reuse"
    RESTORED = "restored"


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A session and the only copy of its next refresh token."""

    user: User
    session: UserSession
    refresh_token: str


def open_session(*, user: User, address: str | None, user_agent: str | None) -> SignedIn:
    """Start a session for somebody whose credentials were found right."""
    with transaction() as session:
        now = utc_now()
        row = UserSession(
            public_id=new_public_id(),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + min(_lifetime(), _longest()),
            address=address,
            user_agent=user_agent[:MAX_USER_AGENT] if user_agent else None,
        )
        session.add(row)
        session.flush()  # the refresh token needs the session's id
        return SignedIn(user=user, session=row, refresh_token=_next_token(row, now))


@repeatable()
def refresh(*, refresh_token: str, address: str | None, request_id: str | None) -> SignedIn:
    """Exchange a refresh token for the next one; each works once.

    No session lasts beyond SESSION_MAX_DAYS. A second use within ten seconds is two tabs or a retry
    and only refused. Later it means that somebody else holds the token, so the session ends for
    both.

    Raises:
        UnauthenticatedError: unknown, expired, ended, or used before.
        ConflictError: used a moment ago by another call.
    """
    with transaction():
        token = _find_token(refresh_token)
        now = utc_now()
        claimed = changed_rows(
            update(RefreshToken)
            .where(RefreshToken.id == token.id, RefreshToken.used_at.is_(None))
            .values(used_at=now)
        )
        if claimed == 1:
            row = token.session
            row.last_seen_at = now
            row.expires_at = min(now + _lifetime(), row.created_at + _longest())
            return SignedIn(user=row.user, session=row, refresh_token=_next_token(row, now))
        conflict = _within_grace(token, now)
        if not conflict:
            _end_for_reuse(token.session, address, request_id)
    if conflict:
        raise ConflictError(
            "This refresh token was used a moment ago; use what that call received.",
            code=ErrorCode.REFRESH_CONFLICT,
        )
    raise UnauthenticatedError(
        "This refresh token was used before; the session was ended.",
        code=ErrorCode.REFRESH_REUSED,
    )


def own_sessions(*, actor: Actor, page: PageRequest) -> Page[UserSession]:
    """Return the actor's living sessions.

    Raises:
        ForbiddenError: by token.
    """
    _require_person(actor)
    query = select(UserSession).where(
        UserSession.user_id == actor.user_id,
        UserSession.revoked_at.is_(None),
        UserSession.expires_at > utc_now(),
    )
    return paginate(query, page, sortable=SORTABLE, tiebreak=UserSession.id)


def end_own_session(*, actor: Actor, public_id: str) -> None:
    """End one of the actor's sessions.

    Raises:
        ForbiddenError: by token.
        NotFoundError: there is no such living session of this user.
    """
    _require_person(actor)
    with transaction() as session:
        row = session.scalar(
            select(UserSession).where(
                UserSession.public_id == public_id, UserSession.user_id == actor.user_id
            )
        )
        if row is None or row.revoked_at is not None:
            raise NotFoundError("There is no such session.")
        _end(row, EndReason.ENDED)
        record(actor=actor, action="session.ended", target=_target(row))


@repeatable()
def log_out(*, actor: Actor) -> None:
    """End the session the actor is using.

    Raises:
        ForbiddenError: by token.
    """
    _require_person(actor)
    with transaction() as session:
        row = session.get(UserSession, actor.session_id) if actor.session_id else None
        if row is not None and row.revoked_at is None:
            _end(row, EndReason.LOGOUT)
            record(actor=actor, action="session.ended", target=_target(row))


@repeatable()
def log_out_everywhere(*, actor: Actor) -> None:
    """End all sessions of the actor, and every access token that was issued so far.

    Raises:
        ForbiddenError: by token.
    """
    _require_person(actor)
    with transaction() as session:
        end_sessions(user_id=_user_id(actor), reason=EndReason.LOGOUT)
        session.execute(
            update(User)
            .where(User.id == actor.user_id)
            .values(token_version=User.token_version + 1)
        )
        target = Target(type="user", id=str(actor.user_id))
        record(actor=actor, action="session.all_ended", target=target)


def actor_for_refresh_token(
    *, refresh_token: str, address: str | None, request_id: str | None
) -> Actor:
    """Return who may log out with this refresh token, when the access token has expired.

    Raises:
        UnauthenticatedError: the refresh token is unknown, expired or of an ended session.
    """
    row = _find_token(refresh_token).session
    return Actor(
        via=Via.SESSION,
        user_id=row.user_id,
        username=row.user.username,
        role=None,
        session_id=row.id,
        address=address,
        request_id=request_id,
    )


def end_sessions(*, user_id: int, reason: EndReason, except_id: int | None = None) -> None:
    """End all living sessions of one user, perhaps but one."""
    with transaction() as session:
        statement = update(UserSession).where(
            UserSession.user_id == user_id, UserSession.revoked_at.is_(None)
        )
        if except_id is not None:
            statement = statement.where(UserSession.id != except_id)
        session.execute(statement.values(revoked_at=utc_now(), revoke_reason=reason.value))


def _find_token(refresh_token: str) -> RefreshToken:
    token = db.session.scalar(
        select(RefreshToken).where(RefreshToken.token_hash == hash_secret(refresh_token))
    )
    now = utc_now()
    if token is None or token.expires_at <= now:
        raise _invalid()
    row = token.session
    ends_at = min(row.expires_at, row.created_at + _longest())
    if row.revoked_at is not None or ends_at <= now or not row.user.is_active:
        raise _invalid()
    return token


def _next_token(row: UserSession, now: datetime) -> str:
    secret = new_secret()
    db.session.add(
        RefreshToken(
            token_hash=hash_secret(secret),
            session_id=row.id,
            issued_at=now,
            expires_at=min(now + _lifetime(), row.created_at + _longest()),
        )
    )
    return secret


def _within_grace(token: RefreshToken, now: datetime) -> bool:
    """Read again when the token was used: on servers the winner committed after we looked."""
    used_at = db.session.scalar(select(RefreshToken.used_at).where(RefreshToken.id == token.id))
    return used_at is not None and now - used_at <= REFRESH_GRACE


def _end_for_reuse(row: UserSession, address: str | None, request_id: str | None) -> None:
    _end(row, EndReason.REUSE)
    actor = Actor(
        via=Via.SESSION,
        user_id=row.user_id,
        username=row.user.username,
        role=None,
        session_id=row.id,
        address=address,
        request_id=request_id,
    )
    record(actor=actor, action="session.reuse_detected", target=_target(row))


def _end(row: UserSession, reason: EndReason) -> None:
    row.revoked_at = utc_now()
    row.revoke_reason = reason.value


def _require_person(actor: Actor) -> None:
    if actor.via is not Via.SESSION:
        raise ForbiddenError(
            "Sessions belong to people who logged in.", code=ErrorCode.SESSION_REQUIRED
        )


def _target(row: UserSession) -> Target:
    return Target(type="session", id=row.public_id)


def _lifetime() -> timedelta:
    return timedelta(days=current_settings().refresh_token_days)


def _longest() -> timedelta:
    """Return how long a session lasts however often it is refreshed."""
    return timedelta(days=current_settings().session_max_days)


def _user_id(actor: Actor) -> int:
    if actor.user_id is None:
        raise NotFoundError("Only users have sessions.")
    return actor.user_id


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("The refresh token is not valid.", code=ErrorCode.REFRESH_INVALID)
