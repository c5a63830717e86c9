"""`/tags`: the words that requests are sorted by."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.tags import TagIn, TagOut, TagPatch, TagsQuery
from core.errors import ErrorCode
from models.tags import Tag
from services import tags
from services.actors import Actor
from services.paging import Page, PageRequest
from services.tags import TagChange

READ, WRITE = ("requests:read",), ("requests:review",)


def current_tag(*, name: str, **_caller: object) -> Tag:
    """Return a tag in its present form."""
    return tags.get_tag(name=name)


def may_make(*, actor: Actor) -> None:
    """Refuse who reviews nowhere, before the body is read."""
    tags.require_making(actor=actor)


def may_change(*, actor: Actor, name: str) -> None:
    """Refuse who does not review everywhere, before the body is read."""
    tags.require_changing(actor=actor)
    tags.get_tag(name=name)


class TagList(Resource):
    """All tags."""

    @endpoint(
        summary="List tags", query=TagsQuery, response=TagOut, paging=Paging.PAGE, scopes=READ
    )
    def get(self, page: PageRequest) -> Page[Tag]:
        """Return tags by name."""
        return tags.list_tags(page=page)

    @endpoint(
        summary="Create a tag",
        description="Of the tags of one scope, `scope/name`, a request has one at most.",
        body=TagIn,
        response=TagOut,
        status=201,
        scopes=WRITE,
        guard=may_make,
        errors=(ErrorCode.ALREADY_EXISTS,),
        example={"name": "size/small", "colour": "#d73a4a"},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a tag."""
        tag = tags.create_tag(actor=actor, **body)
        return Answer(value=tag, location=f"/tags/{tag.name}")


class TagItem(Resource):
    """One tag."""

    @endpoint(summary="Show a tag", response=TagOut, scopes=READ, errors=(ErrorCode.NOT_FOUND,))
    def get(self, name: str) -> Tag:
        """Return the tag."""
        return tags.get_tag(name=name)

    @endpoint(
        summary="Change a tag",
        description="All sites share the tags: this takes `requests:review` by a global role.",
        body=TagPatch,
        response=TagOut,
        scopes=WRITE,
        guard=may_change,
        current=current_tag,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.ALREADY_EXISTS),
        example={"colour": "#0e8a16"},
    )
    def patch(
        self, actor: Actor, name: str, body: dict[str, Any], expected_version: int | None
    ) -> Tag:
        """Change the tag."""
        return tags.update_tag(
            actor=actor, name=name, change=TagChange(**body), expected_version=expected_version
        )

    @endpoint(
        summary="Delete a tag",
        description="Requests of all sites lose it: this takes `requests:review` by a global role.",
        status=204,
        scopes=WRITE,
        guard=may_change,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def delete(self, actor: Actor, name: str) -> Any:
        """Remove the tag."""
        tags.delete_tag(actor=actor, name=name)
        return no_content()


def namespace() -> Namespace:
    """Return the routes of `/tags`; a name may hold one slash."""
    routes = Namespace("tags", description="Words that requests are sorted by", path="/tags")
    routes.add_resource(TagList, "")
    routes.add_resource(TagItem, "/<path:name>")
    return routes
