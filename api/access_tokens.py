"""Access tokens: JWTs that say which session is asking, and nothing about its rights.

Flask-JWT-Extended is configured and makes the tokens, so that its own guards agree with ours.
Reading goes to PyJWT directly: Flask-JWT-Extended parses each token twice (once unverified for
the key, once for real) and checks neither `typ` nor that claims are there; this is the hot path.
"""

import base64
import json
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import jwt as pyjwt
from flask import Flask
from flask_jwt_extended import create_access_token

from core.errors import ErrorCode, UnauthenticatedError
from core.extensions import jwt as jwt_manager
from core.settings import Settings, current_settings

ALGORITHM = "HS256"
ISSUER = "relevo"
AUDIENCE = "relevo-api"
TYPE = "access"
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "jti", "sub", "sid", "iss", "aud", "typ"]
MAX_TOKEN_BYTES = 4096
REMEMBERED_TOKENS = 512
LARGEST_ID = 2**63 - 1
LONGEST_LIFE_SECONDS = 24 * 60 * 60
# 43 characters carry an HS256 signature and two idle bits, which must be zero: otherwise three
# altered tokens would count as equal to the real one.
_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AccessClaims:
    """What a valid access token says."""

    user_id: int
    session_public_id: str
    token_version: int
    expires_at: int


def configure(app: Flask, settings: Settings) -> None:
    """Give Flask-JWT-Extended our keys, names and times."""
    app.config.update(
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ALGORITHM=ALGORITHM,
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(minutes=settings.access_token_minutes),
    )
    jwt_manager.init_app(app)


@jwt_manager.encode_key_loader
def _signing_key(_identity: object) -> str:
    return next(iter(_secrets(current_settings().jwt_keys).values()))


@jwt_manager.decode_key_loader
def _verification_key(header: dict[str, Any], _payload: object) -> str:
    return _secrets(current_settings().jwt_keys).get(header.get("kid", ""), "")


def issue_access_token(
    *, user_id: int, session_public_id: str, token_version: int
) -> tuple[str, int]:
    """Return a new access token and the seconds it lives."""
    settings = current_settings()
    token = create_access_token(
        identity=str(user_id),
        additional_claims={"typ": TYPE, "sid": session_public_id, "ver": token_version},
        additional_headers={"kid": next(iter(_secrets(settings.jwt_keys)))},
    )
    return token, settings.access_token_minutes * 60


def read_access_token(token: str) -> AccessClaims:
    """Check signature, times, names and claims of an access token.

    Raises:
        UnauthenticatedError: `token_expired`, or `token_invalid` for every other fault.
    """
    try:
        claims = _verified(token, current_settings().jwt_keys)
    except pyjwt.ExpiredSignatureError as error:
        raise _expired() from error
    except (pyjwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UnauthenticatedError("The access token is not valid.") from error
    if claims.expires_at <= time.time():
        raise _expired()
    return claims


def _expired() -> UnauthenticatedError:
    return UnauthenticatedError(
        "The access token has expired; refresh it.", code=ErrorCode.TOKEN_EXPIRED
    )


@lru_cache(maxsize=REMEMBERED_TOKENS)
def _verified(token: str, jwt_keys: tuple[str, ...]) -> AccessClaims:
    """Verify a token; one that was found right stays right until it expires.

    A caller sends the same token many times. Whether its session lives is asked every time.
    """
    payload = pyjwt.decode(
        token,
        _key_of(token, jwt_keys),
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": REQUIRED_CLAIMS, "strict_aud": True},
    )
    return _claims(payload)


def _claims(payload: dict[str, Any]) -> AccessClaims:
    user_id, version = int(payload["sub"]), payload.get("ver")
    if payload["typ"] != TYPE or not isinstance(version, int) or not 0 < user_id <= LARGEST_ID:
        raise ValueError("not an access token")
    if int(payload["exp"]) - int(payload["iat"]) > LONGEST_LIFE_SECONDS:
        raise ValueError("no access token lives that long")
    if not isinstance(payload["sid"], str):
        raise TypeError("sid must be text")
    return AccessClaims(
        user_id=user_id,
        session_public_id=payload["sid"],
        token_version=version,
        expires_at=int(payload["exp"]),
    )


def _key_of(token: str, jwt_keys: tuple[str, ...]) -> str:
    if len(token) > MAX_TOKEN_BYTES or not _SHAPE.fullmatch(token):
        raise ValueError("not the shape of an access token")
    secret = _secrets(jwt_keys).get(_key_id(token.partition(".")[0]))
    if secret is None:
        raise ValueError("unknown key id")
    return secret


@lru_cache(maxsize=64)
def _key_id(header_segment: str) -> str:
    """Return the `kid` of an encoded header; all tokens of one key share the segment."""
    padded = header_segment + "=" * (-len(header_segment) % 4)
    header = json.loads(base64.urlsafe_b64decode(padded))
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else ""


@lru_cache(maxsize=8)
def _secrets(keys: tuple[str, ...]) -> dict[str, str]:
    pairs = (key.partition(":") for key in keys)
    return {kid: secret for kid, _, secret in pairs if kid and secret}
