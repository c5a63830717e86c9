"""The audit trail on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import CursorQuery
from api.schemas.common import Moment
from services.actors import Via


class AuditQuery(CursorQuery):
    """Which events to list."""

    actor = fields.String(
        validate=validate.Length(1, 64), metadata={"description": "User name.", "example": "ana"}
    )
    action = fields.String(
        validate=validate.Length(1, 64),
        metadata={"description": "Such as `user.created`, or `user.*`.", "example": "user.*"},
    )
    target = fields.String(
        validate=validate.Length(1, 300),
        metadata={"description": "`type` or `type:id`.", "example": "site:web"},
    )
    since = Moment(metadata={"description": "From this moment on."})
    until = Moment(metadata={"description": "Before this moment."})


class AuditTargetOut(Schema):
    """What an event is about."""

    type = fields.String(required=True)
    id = fields.String(required=True)


class AuditEventOut(Schema):
    """Who did what to which thing."""

    id = fields.String(required=True, attribute="event.public_id")
    number = fields.Integer(required=True, attribute="event.id")
    at = Moment(required=True, attribute="event.at")
    actor = fields.String(required=True, allow_none=True)
    via = fields.String(
        required=True, attribute="event.via", validate=validate.OneOf([via.value for via in Via])
    )
    token = fields.String(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True, attribute="event.address")
    request_id = fields.String(required=True, allow_none=True, attribute="event.request_id")
    action = fields.String(required=True, attribute="event.action")
    target = fields.Nested(AuditTargetOut, required=True)
    before = fields.Dict(
        keys=fields.String(), required=True, allow_none=True, attribute="event.before"
    )
    after = fields.Dict(
        keys=fields.String(), required=True, allow_none=True, attribute="event.after"
    )
    hash = fields.String(required=True, attribute="event.hash")


class VerifyQuery(Schema):
    """An anchor kept from an earlier time."""

    anchor = fields.String(validate=validate.Length(1, 200))


class ProofOut(Schema):
    """Whether the trail is what was written."""

    valid = fields.Boolean(required=True)
    checked = fields.Integer(required=True, metadata={"description": "Sound events, in order."})
    first_invalid = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Number of the first event that is not as it was written."},
    )
    anchor = fields.String(
        required=True, metadata={"description": "Keep it elsewhere to prove later what was there."}
    )
