"""What the types of requests ask for, on the wire."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from api.schemas.common import environment_field, text_field
from api.schemas.promotions import ReleaseReference
from api.schemas.users import role_field, username_field
from api.strictness import take_literally
from models.requests import RequestType
from services.request_payloads import (
    LONGEST_GRANT_HOURS,
    AccessPayload,
    DatabasePayload,
    GeneralPayload,
    Payload,
    PromotionPayload,
)


class PromotionPayloadIn(Schema):
    """Show a release; the number is pinned when the request is filed."""

    from_environment = environment_field(data_key="from", load_default=None)
    release = ReleaseReference(load_default=None)
    comment = text_field(2_000, load_default=None)
    allow_older = fields.Boolean(load_default=False)
    allow_bad = fields.Boolean(load_default=False)


class AccessPayloadIn(Schema):
    """Give a user a site role for a time that starts when the request is carried out."""

    username = username_field(required=True)
    role = role_field(required=True)
    duration_hours = fields.Integer(
        strict=True, required=True, validate=validate.Range(1, LONGEST_GRANT_HOURS)
    )


class DatabasePayloadIn(Schema):
    """Do something to a database."""

    class Meta:
        """What belongs to the action is looked at by whoever carries it out."""

        unknown = "include"

    action = fields.String(
        required=True,
        validate=validate.OneOf(["provision", "clone", "restore", "rotate", "drop"]),
    )


class GeneralPayloadIn(Schema):
    """Nothing: the words say it all."""


_PARTS: dict[RequestType, Schema] = {
    RequestType.PROMOTION: PromotionPayloadIn(),
    RequestType.ACCESS: AccessPayloadIn(),
    RequestType.DATABASE: DatabasePayloadIn(),
    RequestType.GENERAL: GeneralPayloadIn(),
}
for _part in _PARTS.values():
    take_literally(_part)


def read_payload(kind: RequestType, content: dict[str, Any]) -> Payload:
    """Return what a request of this type asks for.

    Raises:
        ValidationError: the content does not fit the type.
    """
    try:
        loaded: Any = _PARTS[kind].load(content)
    except ValidationError as error:
        raise ValidationError({"payload": error.messages}) from error
    if kind is RequestType.PROMOTION:
        return PromotionPayload(**loaded)
    if kind is RequestType.ACCESS:
        return AccessPayload(**loaded)
    if kind is RequestType.DATABASE:
        return DatabasePayload(action=loaded["action"])
    return GeneralPayload()
