"""Comments, reviews, the timeline, tags and assignees of requests on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import CursorQuery, PageQuery, SortField
from api.schemas.common import Moment, text_field
from api.schemas.requests import LONGEST_BODY, LONGEST_REASON, assignees_field, tags_field
from models.requests import Verdict


class WordingOut(Schema):
    """How a comment read before."""

    body = fields.String(required=True)
    until = Moment(required=True)


class CommentOut(Schema):
    """What somebody said."""

    id = fields.String(required=True, attribute="public_id")
    author = fields.String(
        required=True, allow_none=True, attribute="user.username", dump_default=None
    )
    body = fields.String(required=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)
    history = fields.List(fields.Nested(WordingOut), required=True, attribute="wordings")


class CommentBodyIn(Schema):
    """Something to say."""

    body = text_field(LONGEST_BODY, shortest=1, required=True)


class CommentsQuery(PageQuery):
    """Which comments to list."""

    sort = SortField("created_at", default="-created_at")


class TimelineEventOut(Schema):
    """One thing that happened; `comment` holds the words of a comment."""

    id = fields.String(required=True)
    at = Moment(required=True)
    kind = fields.String(required=True, metadata={"example": "approved"})
    actor = fields.String(
        required=True, allow_none=True, attribute="user.username", dump_default=None
    )
    via = fields.String(required=True)
    revision = fields.Integer(required=True)
    from_state = fields.String(required=True, allow_none=True)
    to_state = fields.String(required=True, allow_none=True)
    detail = fields.Dict(keys=fields.String(), required=True)
    comment = fields.String(
        required=True, allow_none=True, attribute="comment.body", dump_default=None
    )


class TimelineQuery(CursorQuery):
    """Which part of the timeline."""


class ReviewOut(Schema):
    """One person's verdict on one revision."""

    reviewer = fields.String(required=True)
    revision = fields.Integer(required=True)
    verdict = fields.String(
        required=True, validate=validate.OneOf([verdict.value for verdict in Verdict])
    )
    comment = fields.String(required=True, allow_none=True)
    fingerprint = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True)
    withdrawn_at = Moment(required=True, allow_none=True)
    counts = fields.Boolean(
        required=True,
        metadata={
            "description": "It stands for the present revision, and an approval is of somebody who "
            "may still give it."
        },
    )


class PostReviewIn(Schema):
    """Whether an emergency was one."""

    was_right = fields.Boolean(required=True)
    comment = text_field(LONGEST_REASON, load_default=None)


class TagsIn(Schema):
    """The tags a request is to have."""

    tags = tags_field(required=True)


class AssigneesIn(Schema):
    """The people who are to take care of a request."""

    assignees = assignees_field(required=True)
