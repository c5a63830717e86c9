"""`/tokens`: credentials for CI and scripts."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.tokens import RotateIn, TokenIn, TokenOut, TokensQuery
from core.errors import ErrorCode
from services import tokens
from services.actors import Actor
from services.paging import Page, PageRequest
from services.tokens import TokenOrder, TokenView

TOKEN = "/<opaque:id>"


class TokenList(Resource):
    """One's own tokens."""

    @endpoint(
        summary="List own tokens",
        description="Expired and revoked ones stay listed, so that a failing pipeline can be "
        "explained.",
        query=TokensQuery,
        response=TokenOut,
        paging=Paging.PAGE,
        errors=(ErrorCode.SESSION_REQUIRED,),
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return the caller's tokens."""
        return tokens.list_own(actor=actor, page=page, **query)

    @endpoint(
        summary="Create a token",
        description="The token itself is in the answer, this once.",
        body=TokenIn,
        response=TokenOut,
        status=201,
        errors=(ErrorCode.SESSION_REQUIRED, ErrorCode.SCOPE_NOT_HELD),
        example={"name": "CI of web", "preset": "deploy"},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a token."""
        return _made(tokens.create(actor=actor, order=TokenOrder(**body)))


class TokenSelf(Resource):
    """The token that is asking."""

    @endpoint(summary="Show the token in use", response=TokenOut, errors=(ErrorCode.NOT_FOUND,))
    def get(self, actor: Actor) -> TokenView:
        """Return the token that is asking."""
        return tokens.get_self(actor=actor)


class TokenSelfRotation(Resource):
    """A successor for the token that is asking."""

    @endpoint(
        summary="Rotate the token in use",
        description="The old one keeps working for `overlap_minutes`.",
        body=RotateIn,
        response=TokenOut,
        status=201,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_TRANSITION),
        example={"overlap_minutes": 10},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make the successor."""
        return _made(tokens.rotate_self(actor=actor, **body))


class TokenItem(Resource):
    """One of one's own tokens."""

    @endpoint(
        summary="Show a token",
        response=TokenOut,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SESSION_REQUIRED),
    )
    def get(self, actor: Actor, id: str) -> TokenView:
        """Return the token."""
        return tokens.get_own(actor=actor, public_id=id)

    @endpoint(
        summary="Revoke a token",
        description="Counts from the next request. The token stays listed.",
        status=204,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SESSION_REQUIRED),
    )
    def delete(self, actor: Actor, id: str) -> Any:
        """End the token."""
        tokens.revoke(actor=actor, public_id=id)
        return no_content()


class TokenRotation(Resource):
    """A successor for one of one's own tokens."""

    @endpoint(
        summary="Rotate a token",
        description="The old one keeps working for `overlap_minutes`.",
        body=RotateIn,
        response=TokenOut,
        status=201,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_TRANSITION, ErrorCode.SESSION_REQUIRED),
        example={"overlap_minutes": 10},
    )
    def post(self, actor: Actor, id: str, body: dict[str, Any]) -> Answer:
        """Make the successor."""
        return _made(tokens.rotate(actor=actor, public_id=id, **body))


def _made(view: TokenView) -> Answer:
    return Answer(value=view, location=f"/tokens/{view.row.public_id}")


def namespace() -> Namespace:
    """Return the routes below `/tokens`."""
    routes = Namespace("tokens", description="Credentials for CI and scripts", path="/tokens")
    routes.add_resource(TokenList, "")
    routes.add_resource(TokenSelf, "/self")
    routes.add_resource(TokenSelfRotation, "/self/rotate")
    routes.add_resource(TokenItem, TOKEN)
    routes.add_resource(TokenRotation, f"{TOKEN}/rotate")
    return routes
