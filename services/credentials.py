"""Look up who is behind a credential: one statement on a connection of its own.

This is the hot path of every request, so it stays away from the ORM session, and the unit of
work that follows starts clean.
"""

import ipaddress
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, or_, select, update

from core.clock import isoformat, utc_now
from core.errors import ErrorCode, UnauthenticatedError
from core.ids import hash_secret, is_api_token
from models.engine import Base
from models.roles import Role
from models.sessions import UserSession
from models.tokens import ApiToken, token_sites
from models.users import User
from services.actors import Actor, Via
from services.permissions import GLOBAL_SCOPES
from services.transaction import first_rows, single_statements, write_if_free

AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name
logger = logging.getLogger(__name__)

SEEN_EVERY = timedelta(seconds=60)
WARN_DAYS = (1, 7, 14)
TOTP_WARNING = "Your role asks for a second factor; set one up with POST /api/v1/auth/totp"

# Built once, of plain tables and with a named parameter: the compiled statement and the way to
# read its rows are found again without comparing the statement piece by piece.
_users, _roles, _sessions, _tokens = (
    Base.metadata.tables[model.__tablename__] for model in (User, Role, UserSession, ApiToken)
)
_USER = (
    _users.c.id.label("user_id"),
    _users.c.username,
    _users.c.is_active,
    _users.c.token_version,
    _users.c.totp_confirmed_at,
    _roles.c.name.label("role"),
    _roles.c.effective,
    _roles.c.sees_all_sites,
    _roles.c.requires_totp,
)
_SESSION = (
    select(
        _sessions.c.id,
        _sessions.c.expires_at,
        _sessions.c.last_seen_at,
        _sessions.c.revoked_at,
        *_USER,
    )
    .select_from(_sessions)
    .join(_users, _users.c.id == _sessions.c.user_id)
    .join(_roles, _roles.c.id == _users.c.role_id)
    .where(_sessions.c.public_id == bindparam("wanted"))
)
# What nearly every call asks, and no more columns than it needs: who is behind a session that is
# good. Only when nobody is found does one look for the reason.
_GOOD_SESSION = (
    select(
        _sessions.c.id,
        _sessions.c.expires_at,
        _sessions.c.last_seen_at,
        _users.c.username,
        _roles.c.name.label("role"),
        _roles.c.effective,
        _roles.c.sees_all_sites,
    )
    .select_from(_sessions)
    .join(_users, _users.c.id == _sessions.c.user_id)
    .join(_roles, _roles.c.id == _users.c.role_id)
    .where(
        _sessions.c.public_id == bindparam("wanted"),
        _sessions.c.user_id == bindparam("user"),
        _sessions.c.revoked_at.is_(None),
        _users.c.is_active.is_(True),
        _users.c.token_version == bindparam("version"),
        or_(_roles.c.requires_totp.is_(False), _users.c.totp_confirmed_at.is_not(None)),
    )
)
_TOKEN_ROWS = (
    select(
        _tokens.c.id,
        _tokens.c.name,
        _tokens.c.prefix,
        _tokens.c.scopes,
        _tokens.c.site_limited,
        _tokens.c.environments,
        _tokens.c.cidrs,
        _tokens.c.created_at,
        _tokens.c.expires_at,
        _tokens.c.last_used_at,
        _tokens.c.revoked_at,
        token_sites.c.site_id,
        *_USER,
    )
    .select_from(_tokens)
    .join(_users, _users.c.id == _tokens.c.user_id)
    .join(_roles, _roles.c.id == _users.c.role_id)
    .outerjoin(token_sites, token_sites.c.token_id == _tokens.c.id)
)
_TOKEN = _TOKEN_ROWS.where(_tokens.c.token_hash == bindparam("wanted"))
_TOKEN_BY_ID = _TOKEN_ROWS.where(_tokens.c.id == bindparam("wanted"))
_USER_BY_ID = (
    select(*_USER)
    .select_from(_users)
    .join(_roles, _roles.c.id == _users.c.role_id)
    .where(_users.c.id == bindparam("wanted"))
)


def actor_for_session(
    *,
    session_public_id: str,
    user_id: int,
    token_version: int,
    address: str | None,
    request_id: str | None,
) -> Actor:
    """Return who is behind an access token whose signature and claims were found right.

    Raises:
        UnauthenticatedError: the session, the user or this generation of tokens has ended.
    """
    now = utc_now()
    good = first_rows(
        _GOOD_SESSION,
        {"wanted": session_public_id, "user": user_id, "version": token_version},
    )
    if good and good[0].expires_at > now:
        return _session_actor(good[0], user_id, now, address, request_id)
    with single_statements() as connection:
        row = connection.execute(_SESSION, {"wanted": session_public_id}).one_or_none()
    if row is None or row.user_id != user_id:
        raise UnauthenticatedError("The token is not valid.", code=ErrorCode.TOKEN_INVALID)
    if row.revoked_at is not None or not row.is_active or row.token_version != token_version:
        raise UnauthenticatedError("The session has ended.", code=ErrorCode.TOKEN_REVOKED)
    if row.expires_at <= now:
        raise UnauthenticatedError("The session has expired.", code=ErrorCode.TOKEN_EXPIRED)
    return _session_actor(row, user_id, now, address, request_id, locked_out=_lacks_totp(row))


def _session_actor(
    row: AnyRow,
    user_id: int,
    now: datetime,
    address: str | None,
    request_id: str | None,
    *,
    locked_out: bool = False,
) -> Actor:
    """Return who is behind a session, and note that it was seen."""
    if row.last_seen_at <= now - SEEN_EVERY:
        _note_session(row.id, now)
    return Actor(
        via=Via.SESSION,
        user_id=user_id,
        username=row.username,
        role=row.role,
        role_scopes=frozenset(row.effective),
        sees_all_sites=row.sees_all_sites,
        token_scopes=frozenset() if locked_out else None,
        session_id=row.id,
        address=address,
        request_id=request_id,
        expires_at=row.expires_at,
        warnings=(TOTP_WARNING,) if locked_out else (),
    )


def actor_for_token(*, token: str, address: str | None, request_id: str | None) -> Actor:
    """Return who is behind an API token.

    Raises:
        UnauthenticatedError: the token is no token, unknown, revoked or expired, its owner is
            deactivated, or it may not be used from this address.
    """
    if not is_api_token(token):
        raise _unknown_token()
    rows = first_rows(_TOKEN, {"wanted": hash_secret(token)})
    if not rows:
        raise _unknown_token()
    row, now = rows[0], utc_now()
    _check_token(row, now, address)
    if row.last_used_at is None or row.last_used_at <= now - SEEN_EVERY:
        _note_token(row.id, now, address)
    return _token_actor(rows, now, address, request_id)


def actor_for_token_id(*, token_id: int, address: str | None, request_id: str | None) -> Actor:
    """Return who is behind an API token that was shown earlier, with the rights of now.

    Raises:
        UnauthenticatedError: the token is gone, revoked or expired, or its owner deactivated.
    """
    with single_statements() as connection:
        rows = connection.execute(_TOKEN_BY_ID, {"wanted": token_id}).all()
    if not rows:
        raise UnauthenticatedError("The token was deleted.", code=ErrorCode.TOKEN_REVOKED)
    now = utc_now()
    _check_token(rows[0], now, address)
    return _token_actor(rows, now, address, request_id)


def actor_for_user(
    *, user_id: int, session_id: int | None, address: str | None, request_id: str | None
) -> Actor:
    """Return a user who was signed in when they asked for something, with the rights of now.

    Raises:
        UnauthenticatedError: the user is gone or deactivated.
    """
    with single_statements() as connection:
        row = connection.execute(_USER_BY_ID, {"wanted": user_id}).one_or_none()
    if row is None or not row.is_active:
        raise UnauthenticatedError("The user was deactivated.", code=ErrorCode.TOKEN_REVOKED)
    locked_out = _lacks_totp(row)
    return Actor(
        via=Via.SESSION,
        user_id=row.user_id,
        username=row.username,
        role=row.role,
        role_scopes=frozenset(row.effective),
        sees_all_sites=row.sees_all_sites,
        token_scopes=frozenset() if locked_out else None,
        session_id=session_id,
        address=address,
        request_id=request_id,
        warnings=(TOTP_WARNING,) if locked_out else (),
    )


def _token_actor(
    rows: Sequence[AnyRow], now: datetime, address: str | None, request_id: str | None
) -> Actor:
    row = rows[0]
    sites = frozenset(entry.site_id for entry in rows if entry.site_id is not None)
    return Actor(
        via=Via.TOKEN,
        user_id=row.user_id,
        username=row.username,
        role=row.role,
        role_scopes=frozenset(row.effective),
        sees_all_sites=row.sees_all_sites,
        token_scopes=_token_scopes(row),
        token_site_ids=sites if row.site_limited else None,
        token_environments=None if row.environments is None else frozenset(row.environments),
        token_id=row.id,
        token_name=row.name,
        address=address,
        request_id=request_id,
        expires_at=row.expires_at,
        warnings=_token_warnings(row, now),
    )


def address_is_allowed(cidrs: Sequence[str] | None, address: str | None) -> bool:
    """Tell whether a token limited to `cidrs` may be used from `address`."""
    if cidrs is None:
        return True
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(cidr) for cidr in cidrs)


def _check_token(row: AnyRow, now: datetime, address: str | None) -> None:
    if row.revoked_at is not None or not row.is_active:
        raise UnauthenticatedError("The token was revoked.", code=ErrorCode.TOKEN_REVOKED)
    if row.expires_at <= now:
        raise UnauthenticatedError(
            "The token has expired; its owner can make a new one.",
            code=ErrorCode.TOKEN_EXPIRED,
            members={"expired_at": isoformat(row.expires_at)},
        )
    if not address_is_allowed(row.cidrs, address):
        logger.warning("token refused", extra={"token_id": row.id, "address": address})
        raise UnauthenticatedError("This token may not be used from this address.")


def _token_scopes(row: AnyRow) -> frozenset[str]:
    if _lacks_totp(row):
        return frozenset()
    scopes = frozenset(row.scopes)
    return scopes - GLOBAL_SCOPES if row.site_limited else scopes


def expiry_stage(*, created_at: datetime, expires_at: datetime, now: datetime) -> int | None:
    """Return in less than how many of WARN_DAYS a token expires; None when it is not time yet.

    A token made for a week is not complained about on its first day.
    """
    left = expires_at - now
    stage = next((days for days in WARN_DAYS if left <= timedelta(days=days)), None)
    if stage is None or expires_at - created_at <= timedelta(days=stage):
        return None
    return stage


def _token_warnings(row: AnyRow, now: datetime) -> tuple[str, ...]:
    """Return what the caller should be told."""
    texts = [TOTP_WARNING] if _lacks_totp(row) else []
    stage = expiry_stage(created_at=row.created_at, expires_at=row.expires_at, now=now)
    if stage is not None:
        texts.append(
            f"Token {row.prefix} expires at {isoformat(row.expires_at)}, in less than "
            f"{stage} {'day' if stage == 1 else 'days'}; "
            "rotate it with POST /api/v1/tokens/self/rotate"
        )
    return tuple(texts)


def _lacks_totp(row: AnyRow) -> bool:
    """Tell whether the role demands a second factor that the user has not set up.

    Such a user holds no scope at all until it is set up: only operations on oneself are left.
    """
    return bool(row.requires_totp) and row.totp_confirmed_at is None


def _note_session(session_id: int, now: datetime) -> None:
    write_if_free(
        update(UserSession)
        .where(UserSession.id == session_id, UserSession.last_seen_at <= now - SEEN_EVERY)
        .values(last_seen_at=now)
    )


def _note_token(token_id: int, now: datetime, address: str | None) -> None:
    write_if_free(
        update(ApiToken)
        .where(ApiToken.id == token_id)
        .values(last_used_at=now, last_used_address=address)
    )


def _unknown_token() -> UnauthenticatedError:
    return UnauthenticatedError("The token is not valid.", code=ErrorCode.TOKEN_INVALID)
