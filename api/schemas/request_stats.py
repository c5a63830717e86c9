"""Figures about requests on the wire."""

from marshmallow import Schema, fields

from api.schemas.common import Moment, slug_field
from models.requests import RequestType


class RequestStatsQuery(Schema):
    """Which requests to count, by when they were filed."""

    site = slug_field()
    type = fields.Enum(RequestType, by_value=True)
    since = Moment(metadata={"description": "Filed from this moment on."})
    until = Moment(metadata={"description": "Filed before this moment."})


class DurationsOut(Schema):
    """How long something took, in seconds."""

    count = fields.Integer(required=True)
    median_seconds = fields.Float(required=True, allow_none=True)
    p90_seconds = fields.Float(required=True, allow_none=True)


class BreachesOut(Schema):
    """How many got an answer or a decision later than their priority asks for."""

    response = fields.Integer(required=True)
    decision = fields.Integer(required=True)
    share = fields.Float(required=True, allow_none=True)


class ReviewerOut(Schema):
    """What one person decided."""

    reviewer = fields.String(required=True)
    approvals = fields.Integer(required=True)
    rejections = fields.Integer(required=True)
    overrides = fields.Integer(required=True)


def _counts() -> fields.Dict:
    return fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class RequestStatsOut(Schema):
    """How fast requests are answered, decided and done."""

    total = fields.Integer(required=True)
    by_state = _counts()
    by_type = _counts()
    by_priority = _counts()
    first_response = fields.Nested(DurationsOut, required=True)
    decision = fields.Nested(DurationsOut, required=True)
    completion = fields.Nested(DurationsOut, required=True)
    breaches = fields.Nested(BreachesOut, required=True)
    stale = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    overdue = fields.Integer(required=True)
    oldest_pending = fields.Integer(required=True, allow_none=True)
    oldest_pending_since = Moment(required=True, allow_none=True)
    reviewers = fields.List(fields.Nested(ReviewerOut), required=True)
