"""Events, tickets and what may be asked of a stream."""

from marshmallow import Schema, fields, validate

from api.schemas.common import Moment, WholeText, slug_field

MAX_TOPICS = 50
MAX_LIMIT = 10_000
MAX_TIMEOUT_SECONDS = 86_400
_TOPIC = r"^([a-z_]{1,40}\.([a-z_]{1,40}|\*)|\*)$"


class EventsQuery(Schema):
    """What to tell, from where on and for how long."""

    topics = fields.List(
        fields.String(
            validate=WholeText(_TOPIC, error="Must be like promotion.succeeded or release.*")
        ),
        validate=validate.Length(max=MAX_TOPICS),
        metadata={"description": "Such as `promotion.*,release.created`; all when left out."},
    )
    site = slug_field(required=False)
    last_event_id = fields.String(
        validate=validate.Length(max=100),
        metadata={"description": "The id of the last event seen; like the header Last-Event-ID."},
    )
    limit = fields.Integer(
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": "End after this many events."},
    )
    timeout_seconds = fields.Integer(
        validate=validate.Range(0, MAX_TIMEOUT_SECONDS),
        metadata={"description": "End after this time; 0 tells what has happened and ends."},
    )


class SocketQuery(EventsQuery):
    """The same, and the ticket."""

    ticket = fields.String(
        validate=validate.Length(max=100),
        metadata={"description": "From POST /events/ticket; good once."},
    )


class EventTargetOut(Schema):
    """What an event is about."""

    type = fields.String(required=True)
    id = fields.String(required=True)


class EventOut(Schema):
    """One event; `after` has the fields that changed, as they are now."""

    id = fields.String(required=True)
    at = Moment(required=True)
    action = fields.String(required=True)
    actor = fields.String(required=True, allow_none=True)
    site = fields.String(required=True, allow_none=True)
    target = fields.Nested(EventTargetOut, required=True)
    after = fields.Dict(keys=fields.String(), required=True, allow_none=True)


class TicketOut(Schema):
    """A ticket, shown once."""

    ticket = fields.String(required=True)
    expires_at = Moment(required=True)
