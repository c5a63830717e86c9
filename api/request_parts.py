"""Parts of requests: comments, timeline, reviews, tags and assignees."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint
from api.operation import Paging
from api.paging import PageQuery
from api.representations import Answer
from api.schemas.request_parts import (
    AssigneesIn,
    CommentBodyIn,
    CommentOut,
    CommentsQuery,
    PostReviewIn,
    ReviewOut,
    TagsIn,
    TimelineEventOut,
    TimelineQuery,
)
from api.schemas.requests import RequestOut
from core.errors import ErrorCode
from models.request_events import RequestComment
from services import (
    request_access,
    request_parts,
    request_post_reviews,
    request_reviews,
    request_views,
    requests,
)
from services.actors import Actor
from services.paging import CursorPage, CursorRequest, Page, PageRequest
from services.request_post_reviews import PostReview
from services.request_views import RequestView

WRITE = ("requests:write",)
ITEM = "/<int:number>"


def writable(*, actor: Actor, number: int, **_path: object) -> None:
    """Refuse who may not write about a request, before the body is read."""
    request_parts.require_writable(actor=actor, number=number)


def readable(*, actor: Actor, number: int, **_path: object) -> None:
    """Refuse who may not read a request; whoever filed it reads it with requests:write too."""
    request_access.find_readable(actor=actor, number=number)


def own_comment(*, actor: Actor, number: int, comment_id: str) -> None:
    """Refuse changes of somebody else's comment, before the body is read."""
    request_parts.require_own_comment(actor=actor, number=number, comment_id=comment_id)


class CommentList(Resource):
    """What people said about one request."""

    @endpoint(
        summary="List the comments on a request",
        query=CommentsQuery,
        response=CommentOut,
        paging=Paging.PAGE,
        guard=readable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, number: int, page: PageRequest) -> Page[RequestComment]:
        """Return comments, newest first."""
        return request_parts.list_comments(actor=actor, number=number, page=page)

    @endpoint(
        summary="Comment on a request",
        body=CommentBodyIn,
        response=CommentOut,
        status=201,
        scopes=WRITE,
        guard=writable,
        errors=(ErrorCode.NOT_FOUND,),
        example={"body": "The new menu is on page two."},
    )
    def post(self, actor: Actor, number: int, body: dict[str, Any]) -> Answer:
        """Write the comment."""
        row = request_parts.comment(actor=actor, number=number, **body)
        return Answer(value=row, location=f"/requests/{number}/comments/{row.public_id}")


class CommentItem(Resource):
    """One comment."""

    @endpoint(
        summary="Show a comment",
        response=CommentOut,
        guard=readable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, number: int, comment_id: str) -> RequestComment:
        """Return the comment with its earlier wordings."""
        return request_parts.get_comment(actor=actor, number=number, comment_id=comment_id)

    @endpoint(
        summary="Change one's own comment",
        description="The earlier wording is kept in `history`.",
        body=CommentBodyIn,
        response=CommentOut,
        scopes=WRITE,
        guard=own_comment,
        current=request_parts.get_comment,
        errors=(ErrorCode.NOT_FOUND,),
        example={"body": "The new menu is on page three."},
    )
    def patch(
        self,
        actor: Actor,
        number: int,
        comment_id: str,
        body: dict[str, Any],
        expected_version: int | None,
    ) -> RequestComment:
        """Change the words."""
        return request_parts.edit_comment(
            actor=actor,
            number=number,
            comment_id=comment_id,
            expected_version=expected_version,
            **body,
        )


class Timeline(Resource):
    """Everything that happened to one request."""

    @endpoint(
        summary="Show the timeline of a request",
        query=TimelineQuery,
        response=TimelineEventOut,
        paging=Paging.CURSOR,
        guard=readable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, number: int, page: CursorRequest) -> CursorPage[Any]:
        """Return events and comments, newest first."""
        return request_parts.timeline(actor=actor, number=number, page=page)


class ReviewList(Resource):
    """What reviewers said of one request."""

    @endpoint(
        summary="List the reviews of a request",
        query=PageQuery,
        response=ReviewOut,
        paging=Paging.PAGE,
        guard=readable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, number: int, page: PageRequest) -> Page[Any]:
        """Return verdicts, newest first, those on earlier revisions too."""
        found = request_reviews.list_reviews(actor=actor, number=number, page=page)
        request = requests.get_request(actor=actor, number=number)
        views = request_views.describe_reviews(request=request, reviews=found.items)
        return found.with_items(views)

    @endpoint(
        summary="Review an emergency afterwards",
        description="Due 72 hours after an override, by somebody else.",
        body=PostReviewIn,
        response=RequestOut,
        scopes=("requests:review",),
        guard=request_post_reviews.require_post_reviewer,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_TRANSITION, ErrorCode.SELF_APPROVAL),
        example={"was_right": True},
    )
    def post(self, actor: Actor, number: int, body: dict[str, Any]) -> RequestView:
        """Write the verdict."""
        request = request_post_reviews.review_afterwards(
            actor=actor, number=number, review=PostReview(**body)
        )
        return request_views.describe(actor=actor, requests=[request])[0]


class RequestTags(Resource):
    """The tags of one request."""

    @endpoint(
        summary="Set the tags of a request",
        body=TagsIn,
        response=RequestOut,
        scopes=WRITE,
        guard=writable,
        errors=(ErrorCode.NOT_FOUND,),
        example={"tags": []},
    )
    def put(self, actor: Actor, number: int, body: dict[str, Any]) -> RequestView:
        """Replace the tags."""
        request = request_parts.put_tags(actor=actor, number=number, names=body["tags"])
        return request_views.describe(actor=actor, requests=[request])[0]


class RequestAssignees(Resource):
    """Who takes care of one request."""

    @endpoint(
        summary="Set the assignees of a request",
        description="By who filed it (requests:write), or with requests:review.",
        body=AssigneesIn,
        response=RequestOut,
        guard=request_parts.require_assigning,
        errors=(ErrorCode.NOT_FOUND,),
        example={"assignees": []},
    )
    def put(self, actor: Actor, number: int, body: dict[str, Any]) -> RequestView:
        """Replace the assignees."""
        request = request_parts.put_assignees(
            actor=actor, number=number, usernames=body["assignees"]
        )
        return request_views.describe(actor=actor, requests=[request])[0]


def add_routes(routes: Namespace) -> None:
    """Add the routes of the parts of a request."""
    routes.add_resource(CommentList, f"{ITEM}/comments")
    routes.add_resource(CommentItem, f"{ITEM}/comments/<comment_id>")
    routes.add_resource(Timeline, f"{ITEM}/timeline")
    routes.add_resource(ReviewList, f"{ITEM}/reviews")
    routes.add_resource(RequestTags, f"{ITEM}/tags")
    routes.add_resource(RequestAssignees, f"{ITEM}/assignees")
