"""Requests on the wire."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import (
    Moment,
    WholeText,
    environment_field,
    line_field,
    slug_field,
    text_field,
)
from api.schemas.request_payloads import read_payload
from api.schemas.tags import tag_name_field
from api.schemas.users import username_field
from models.requests import RequestPriority, RequestState, RequestType
from services.passwords import MAX_LENGTH
from services.request_moves import Action

LONGEST_BODY = 16_000
LONGEST_REASON = 2_000
MOST_TAGS = 20
MOST_ASSIGNEES = 20
TYPES = validate.OneOf([kind.value for kind in RequestType])
STATES = validate.OneOf([state.value for state in RequestState])
PRIORITIES = validate.OneOf([priority.value for priority in RequestPriority])
ACTIONS = validate.OneOf([action.value for action in Action])
FINGERPRINT = WholeText(r"^[0-9a-f]{64}$", error="Must be 64 hex digits.")


def tags_field(**options: Any) -> "fields.List[str]":
    """Return a field for names of tags."""
    return fields.List(tag_name_field(), validate=validate.Length(max=MOST_TAGS), **options)


def assignees_field(**options: Any) -> "fields.List[str]":
    """Return a field for the people who take care of a request."""
    return fields.List(username_field(), validate=validate.Length(max=MOST_ASSIGNEES), **options)


class RequestIn(Schema):
    """A request to file; `payload` depends on `type`."""

    type = fields.Enum(RequestType, by_value=True, required=True)
    title = line_field(200, shortest=1, required=True)
    body = text_field(LONGEST_BODY, load_default="")
    priority = fields.Enum(RequestPriority, by_value=True, load_default=RequestPriority.NORMAL)
    site = slug_field(load_default=None)
    environment = environment_field(load_default=None)
    payload = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={
            "description": "promotion `{from?, release?, comment?, allow_older?, allow_bad?}`, "
            "access `{username, role, duration_hours}`, general `{}`."
        },
    )
    tags = tags_field(load_default=list)
    assignees = assignees_field(load_default=list)
    due_at = Moment(load_default=None)
    scheduled_for = Moment(load_default=None)
    auto_execute = fields.Boolean(load_default=True)
    draft = fields.Boolean(load_default=False)

    @post_load
    def with_payload(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Read the payload as its type demands."""
        data["payload"] = read_payload(data.pop("type"), data["payload"])
        return data


class RequestPatch(Schema):
    """What to change; what reviewers judge only while nobody has voted on it."""

    title = line_field(200, shortest=1)
    body = text_field(LONGEST_BODY)
    priority = fields.Enum(RequestPriority, by_value=True)
    environment = environment_field()
    payload = fields.Dict(keys=fields.String())
    due_at = Moment(allow_none=True, metadata={"description": "Null clears it."})
    scheduled_for = Moment(allow_none=True, metadata={"description": "Null clears it."})
    auto_execute = fields.Boolean()


class RequestsQuery(PageQuery):
    """Which requests to list."""

    sort = SortField("number", "created_at", "updated_at", "due_at", default="-number")
    q = SearchField("title and body")
    type = fields.Enum(RequestType, by_value=True)
    state = fields.Enum(RequestState, by_value=True)
    priority = fields.Enum(RequestPriority, by_value=True)
    site = slug_field()
    environment = environment_field()
    requester = username_field()
    assignee = username_field()
    tag = tag_name_field()
    overdue = fields.Boolean(metadata={"description": "Past `due_at` and not closed."})


class InboxQuery(PageQuery):
    """Which part of what waits."""

    sort = SortField("number", "created_at", "updated_at", "due_at", default="-number")


class RequestErrorOut(Schema):
    """Why carrying a request out failed."""

    code = fields.String(required=True)
    detail = fields.String(required=True, allow_none=True)


class ChangedOut(Schema):
    """What is not as it was reviewed."""

    field = fields.String(required=True)
    old = fields.Raw(required=True, allow_none=True)
    new = fields.Raw(required=True, allow_none=True)


class RequestOut(Schema):
    """A petition, how far it has come, and what the caller may do with it."""

    number = fields.Integer(required=True, metadata={"example": 42})
    type = fields.String(required=True, validate=TYPES)
    state = fields.String(required=True, validate=STATES)
    title = fields.String(required=True)
    body = fields.String(required=True)
    priority = fields.String(required=True, validate=PRIORITIES)
    emergency = fields.Boolean(required=True)
    requester = fields.String(required=True, allow_none=True)
    via = fields.String(required=True)
    site = fields.String(required=True, allow_none=True)
    environment = fields.String(required=True, allow_none=True)
    payload = fields.Dict(keys=fields.String(), required=True)
    revision = fields.Integer(required=True)
    fingerprint = fields.String(required=True, allow_none=True)
    facts = fields.Dict(keys=fields.String(), required=True)
    changed = fields.List(fields.Nested(ChangedOut), required=True, allow_none=True)
    required_approvals = fields.Integer(required=True)
    approvals = fields.Integer(
        required=True,
        metadata={"description": "Those that count: on this revision, by people who may still."},
    )
    tags = fields.List(fields.String(), required=True)
    assignees = fields.List(fields.String(), required=True)
    auto_execute = fields.Boolean(required=True)
    attempts = fields.Integer(required=True)
    promotion = fields.Integer(required=True, allow_none=True)
    result = fields.Dict(keys=fields.String(), required=True, allow_none=True)
    error = fields.Nested(RequestErrorOut, required=True, allow_none=True)
    waits_for = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The code of what keeps an approved request from running."},
    )
    closed_reason = fields.String(required=True, allow_none=True)
    due_at = Moment(required=True, allow_none=True)
    scheduled_for = Moment(required=True, allow_none=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)
    submitted_at = Moment(required=True, allow_none=True)
    pending_expires_at = Moment(required=True, allow_none=True)
    approved_at = Moment(required=True, allow_none=True)
    approval_valid_until = Moment(required=True, allow_none=True)
    post_review_due_at = Moment(required=True, allow_none=True)
    post_reviewed_at = Moment(required=True, allow_none=True)
    closed_at = Moment(required=True, allow_none=True)
    allowed_actions = fields.List(fields.String(validate=ACTIONS), required=True)


class ApproveIn(Schema):
    """A vote; with `fingerprint` it counts only for what was looked at."""

    comment = text_field(LONGEST_REASON, load_default=None)
    fingerprint = fields.String(validate=FINGERPRINT, load_default=None)


class RejectIn(Schema):
    """Why not."""

    reason = text_field(LONGEST_REASON, shortest=1, required=True)


class ReasonIn(Schema):
    """Why, if there is something to say."""

    reason = text_field(LONGEST_REASON, load_default=None)


class RemarkIn(Schema):
    """A comment that is not needed."""

    comment = text_field(LONGEST_REASON, load_default=None)


class CommentIn(Schema):
    """Something to say."""

    comment = text_field(LONGEST_BODY, shortest=1, required=True)


class OverrideIn(Schema):
    """Why it cannot wait, and the password of whoever says so."""

    reason = text_field(LONGEST_REASON, shortest=1, required=True)
    password = fields.String(
        required=True,
        validate=validate.Length(1, MAX_LENGTH),
        load_only=True,
        metadata={"format": "password", "example": "velvet tortoise 81 crane"},
    )
