"""Jobs on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SortField
from api.schemas.common import Moment, WholeText, slug_field

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
JOB_ID = "0aZk3N7cTq9vYb1LwRx5Ps"


class JobsQuery(PageQuery):
    """Which jobs to list."""

    sort = SortField("created_at", default="-created_at")
    kind = fields.String(
        validate=WholeText(r"^[a-z_.]{1,64}$"), metadata={"example": "releases.process"}
    )
    state = fields.String(validate=validate.OneOf(STATES))
    site = slug_field()


class JobProgressOut(Schema):
    """How far a job is."""

    done = fields.Integer(required=True)
    total = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null while nobody knows."}
    )
    unit = fields.String(required=True, allow_none=True, metadata={"example": "files"})


class JobLogOut(Schema):
    """One line of a job's log."""

    at = Moment(required=True)
    message = fields.String(required=True)


class JobOut(Schema):
    """Long work with progress, a result and a log."""

    id = fields.String(required=True, metadata={"example": JOB_ID})
    kind = fields.String(required=True, metadata={"example": "releases.process"})
    queue = fields.String(required=True, metadata={"example": "releases"})
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    site = fields.String(required=True, allow_none=True)
    created_by = fields.String(required=True, allow_none=True)
    progress = fields.Nested(JobProgressOut, required=True)
    result = fields.Dict(required=True, allow_none=True)
    error = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "`code`, `detail` and the other members of the problem."},
    )
    log = fields.List(fields.Nested(JobLogOut), required=True)
    attempts = fields.Integer(required=True)
    max_attempts = fields.Integer(required=True)
    cancel_requested = fields.Boolean(required=True)
    run_at = Moment(required=True)
    created_at = Moment(required=True)
    started_at = Moment(required=True, allow_none=True)
    finished_at = Moment(required=True, allow_none=True)
