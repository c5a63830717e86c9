"""Webhooks on the wire."""

from typing import Any

from marshmallow import Schema, fields, missing, validate

from api.paging import CursorQuery, PageQuery, SearchField, SortField
from api.schemas.common import Moment, line_field, slug_field
from core.outbound_http import MAX_URL
from models.webhooks import DeliveryState, DisabledReason
from services.webhook_targets import BreakerState
from services.webhook_topics import MAX_TOPICS
from services.webhooks import DEFAULT_OVERLAP_MINUTES

MAX_OVERLAP_MINUTES = 7 * 24 * 60
STATE = validate.OneOf([state.value for state in DeliveryState])
URL_METADATA = {
    "description": "An http or https address; its host must be public or listed.",
    "example": "https://hooks.example/relevo",
}
TOPICS_METADATA = {
    "description": "`*`, groups such as `promotion.*`, or single events.",
    "example": ["promotion.*", "release.created"],
}


def _topics_field(**options: Any) -> fields.List[str]:
    return fields.List(
        fields.String(validate=validate.Length(1, 64)),
        validate=validate.Length(1, MAX_TOPICS),
        metadata=TOPICS_METADATA,
        **options,
    )


class WebhookIn(Schema):
    """An address to tell of events; without `site` of those of all sites."""

    site = slug_field()
    url = fields.String(required=True, validate=validate.Length(1, MAX_URL), metadata=URL_METADATA)
    topics = _topics_field(required=True)
    description = line_field(500)
    is_active = fields.Boolean()


class WebhookPatch(Schema):
    """What to change."""

    url = fields.String(validate=validate.Length(1, MAX_URL), metadata=URL_METADATA)
    topics = _topics_field()
    description = line_field(500)
    is_active = fields.Boolean()


class SecretRotationIn(Schema):
    """How long calls carry the signature of the old secret too."""

    overlap_minutes = fields.Integer(
        strict=True,
        load_default=DEFAULT_OVERLAP_MINUTES,
        validate=validate.Range(0, MAX_OVERLAP_MINUTES),
    )


class RedeliverIn(Schema):
    """Which delivery to send once more."""

    delivery = fields.String(required=True, validate=validate.Length(1, 64))


class WebhookTargetOut(Schema):
    """How the host behaves, over all webhooks that call it."""

    name = fields.String(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf([state.value for state in BreakerState]),
        metadata={"description": "`open` is not called until `retry_at`."},
    )
    failures = fields.Integer(required=True, metadata={"description": "Since the last success."})
    retry_at = Moment(required=True, allow_none=True)


class WebhookOut(Schema):
    """An address that is told of events."""

    id = fields.String(required=True, attribute="row.public_id")
    site = fields.String(required=True, allow_none=True)
    url = fields.String(required=True, attribute="row.url")
    topics = fields.List(fields.String(), required=True, attribute="row.topics")
    description = fields.String(required=True, attribute="row.description")
    is_active = fields.Boolean(required=True, attribute="row.is_active")
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        attribute="row.disabled_reason",
        validate=validate.OneOf([reason.value for reason in DisabledReason]),
    )
    failing_since = Moment(required=True, allow_none=True, attribute="row.failing_since")
    target = fields.Nested(WebhookTargetOut, required=True)
    old_secret_until = Moment(
        required=True,
        allow_none=True,
        metadata={
            "description": "Until then calls are signed with the secret before this one too."
        },
    )
    created_by = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True, attribute="row.created_at")
    updated_at = Moment(required=True, attribute="row.updated_at")
    secret = fields.String(metadata={"description": "Shown once, when it is made."})

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # Any: marshmallow's signature
        if attr == "secret":
            return obj.secret or missing
        return super().get_attribute(obj, attr, default)


class WebhooksQuery(PageQuery):
    """Which webhooks to list."""

    sort = SortField("created_at", "updated_at")
    q = SearchField("description and host")
    site = slug_field()


class DeliveriesQuery(CursorQuery):
    """Which deliveries to list."""

    state = fields.Enum(DeliveryState, by_value=True)


class AttemptOut(Schema):
    """One call."""

    at = Moment(required=True)
    duration_ms = fields.Integer(required=True)
    status = fields.Integer(required=True, allow_none=True)
    error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Such as `timed_out`, `tls_failed` or `http_error`."},
    )
    answer = fields.String(
        required=True, metadata={"description": "The first 1,024 bytes of what was answered."}
    )


class DeliveryOut(Schema):
    """One event for one webhook."""

    id = fields.String(required=True, attribute="public_id")
    event = fields.String(required=True, attribute="event_id")
    type = fields.String(required=True, attribute="topic")
    state = fields.String(required=True, validate=STATE)
    occurred_at = Moment(required=True)
    created_at = Moment(required=True)
    due_at = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "When it is tried next; null when it has ended."},
    )
    finished_at = Moment(required=True, allow_none=True)
    attempts = fields.List(fields.Nested(AttemptOut), required=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # Any: marshmallow's signature
        if attr == "due_at" and obj.state is not DeliveryState.PENDING:
            return None
        if attr == "state":
            return obj.state.value
        return super().get_attribute(obj, attr, default)
