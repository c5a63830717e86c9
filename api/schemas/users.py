"""Users and their contacts on the wire."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment, WholeText, check_slug, line_field
from core.errors import InvalidInputError
from services.names import USERNAME
from services.passwords import MAX_LENGTH
from services.users import MAX_EMAIL, check_names


def check_email(value: str) -> None:
    """Accept an e-mail address.

    Raises:
        ValidationError: it is none.
    """
    try:
        check_names(email=value)
    except InvalidInputError as error:
        raise ValidationError("Must be an e-mail address.") from error


def username_field(**options: Any) -> fields.String:
    """Return a field for a user name."""
    return fields.String(
        validate=WholeText(
            USERNAME, error="Must be 1 to 40 of a-z, 0-9, dots, hyphens and underscores."
        ),
        metadata={"example": "ana"},
        **options,
    )


def role_field(**options: Any) -> fields.String:
    """Return a field for the name of a role."""
    return fields.String(validate=check_slug, **options)


def email_field(**options: Any) -> fields.String:
    """Return a field for an e-mail address."""
    return fields.String(
        validate=[validate.Length(3, MAX_EMAIL), check_email],
        metadata={"format": "email", "example": "ana@example.org"},
        **options,
    )


class UserIn(Schema):
    """A user to make; without a password they are invited."""

    username = username_field(required=True)
    email = email_field(required=True)
    password = fields.String(
        validate=validate.Length(1, MAX_LENGTH),
        load_only=True,
        metadata={"format": "password", "example": "velvet tortoise 81 crane"},
    )
    role = role_field(metadata={"example": "member"})
    is_active = fields.Boolean(load_default=True)


class UserPatch(Schema):
    """What to change of a user."""

    email = email_field()
    password = fields.String(
        validate=validate.Length(1, MAX_LENGTH),
        load_only=True,
        metadata={"format": "password", "example": "velvet tortoise 81 crane"},
    )
    role = role_field(metadata={"example": "maintainer"})
    is_active = fields.Boolean()


class UserOut(Schema):
    """Somebody who can sign in."""

    username = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    role = fields.String(required=True, attribute="role.name")
    is_active = fields.Boolean(required=True)
    totp_enabled = fields.Boolean(required=True)
    created_at = Moment(required=True)
    last_login_at = Moment(required=True, allow_none=True)


class NewUserOut(UserOut):
    """A user just made, with the link to send them when they have no password yet."""

    invitation_url = fields.String(metadata={"description": "Shown this once; valid for 7 days."})

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # Any: marshmallow's signature
        if attr == "invitation_url":
            return obj.invitation_url or missing
        return super().get_attribute(obj.user, attr, default)


class UsersQuery(PageQuery):
    """Which users to list."""

    sort = SortField("username", "email", "created_at", "updated_at", "last_login_at")
    q = SearchField("user name, e-mail address and full name")
    role = fields.String(validate=validate.Length(1, 64))
    is_active = fields.Boolean()


class ContactIn(Schema):
    """How to reach a user; what is left out is cleared."""

    full_name = line_field(120, allow_none=True, metadata={"example": "Ana Müller"})
    phone = line_field(40, allow_none=True)
    city = line_field(80, allow_none=True)
    country = line_field(80, allow_none=True)
    organisation = line_field(120, allow_none=True)


class ContactOut(Schema):
    """How to reach a user."""

    full_name = fields.String(required=True, allow_none=True)
    phone = fields.String(required=True, allow_none=True)
    city = fields.String(required=True, allow_none=True)
    country = fields.String(required=True, allow_none=True)
    organisation = fields.String(required=True, allow_none=True)
