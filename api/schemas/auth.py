"""Signing in on the wire."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SortField
from api.schemas.common import Moment, text_field
from api.schemas.users import UserOut
from services.passwords import MAX_LENGTH

SECRET_LENGTH = 128
EXAMPLE_PASSWORD = "velvet tortoise 81 crane"


def password_field(**options: Any) -> fields.String:
    """Return a field for a password; how good it is decides the service."""
    return fields.String(
        validate=validate.Length(1, MAX_LENGTH),
        load_only=True,
        metadata={"format": "password", "example": EXAMPLE_PASSWORD},
        **options,
    )


def secret_field(**options: Any) -> fields.String:
    """Return a field for a refresh, reset or invitation secret."""
    return fields.String(validate=validate.Length(1, SECRET_LENGTH), **options)


def otp_field(**options: Any) -> fields.String:
    """Return a field for a one-time or a recovery code."""
    return fields.String(validate=validate.Length(1, 40), metadata={"example": "123456"}, **options)


class LoginIn(Schema):
    """Who wants to sign in."""

    username = fields.String(
        required=True,
        validate=validate.Length(1, 254),
        metadata={"description": "User name or e-mail address.", "example": "ana"},
    )
    password = password_field(required=True)
    otp = otp_field()


class RefreshIn(Schema):
    """The refresh token of the answer before."""

    refresh_token = secret_field(required=True)


class LogoutIn(Schema):
    """Needed only when the access token has expired."""

    refresh_token = secret_field()


class SignedInOut(Schema):
    """A fresh pair of tokens."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.Constant("Bearer", required=True)
    expires_in = fields.Integer(
        required=True, metadata={"description": "Seconds the access token lives."}
    )
    user = fields.Nested(UserOut, required=True)


class WhoamiOut(Schema):
    """What the credential in use is and may do."""

    kind = fields.String(required=True, validate=validate.OneOf(["session", "token"]))
    user = fields.String(required=True)
    role = fields.String(required=True)
    scopes = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Held everywhere, or on a site within reach."},
    )
    sites = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "The sites within reach; null when all are."},
    )
    expires_at = Moment(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True)


class SessionsQuery(PageQuery):
    """In which order to list sessions."""

    sort = SortField("created_at", "last_seen_at")


class SessionOut(Schema):
    """One sign-in."""

    id = fields.String(required=True)
    created_at = Moment(required=True)
    last_seen_at = Moment(required=True)
    address = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    current = fields.Boolean(required=True)


class PasswordIn(Schema):
    """The present password and the one to replace it."""

    current_password = password_field(required=True)
    new_password = password_field(required=True)


class TotpOut(Schema):
    """What an authenticator needs."""

    secret = fields.String(required=True)
    otpauth_uri = fields.String(required=True)


class TotpIn(Schema):
    """A code that shows that the authenticator works."""

    otp = otp_field(required=True)


class TotpRemovalIn(Schema):
    """What shows that it is the person who removes the second factor: one of the two."""

    password = password_field()
    otp = otp_field()


class RecoveryCodesOut(Schema):
    """Single-use ways past a lost authenticator, shown once."""

    recovery_codes = fields.List(text_field(40), required=True)


class ResetIn(Schema):
    """The secret of an invitation or a reset link, and the password to set."""

    token = secret_field(required=True)
    new_password = password_field(required=True)
