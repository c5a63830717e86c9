"""`/sites/{slug}/members`: who belongs to a site."""

from typing import Any

from flask_restx import Namespace, Resource

from api import guards
from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.members import MemberIn, MemberOut, MembersQuery
from core.errors import ErrorCode
from services import members
from services.actors import Actor
from services.members import Member
from services.paging import Page, PageRequest

MEMBER = "/<username>"


class MemberList(Resource):
    """Everybody with a role on one site."""

    @endpoint(
        summary="List the members of a site",
        description="And whoever has a role for a time by an access request: one entry for each "
        "membership and for each grant.",
        query=MembersQuery,
        response=MemberOut,
        paging=Paging.PAGE,
        scopes=("sites:read",),
        guard=guards.on_site(),
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, slug: str, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return the members."""
        return members.list_members(actor=actor, slug=slug, page=page, **query)


class MemberItem(Resource):
    """One member of one site."""

    @endpoint(
        summary="Show a member of a site",
        description="The membership; without one the grant that lasts longest.",
        response=MemberOut,
        scopes=("sites:read",),
        guard=guards.on_site(),
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, slug: str, username: str) -> Member:
        """Return the member."""
        return members.get_member(actor=actor, slug=slug, username=username)

    @endpoint(
        summary="Give a user a role on a site",
        description="The new role and the present one hold no right that the caller does not hold "
        "for good: rights of an access request cannot be passed on.",
        body=MemberIn,
        response=MemberOut,
        statuses={201: MemberOut},
        scopes=("members:write",),
        guard=guards.on_site("members:write"),
        current=members.get_member,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SCOPE_NOT_HELD),
        example={"role": "deployer"},
    )
    def put(self, actor: Actor, slug: str, username: str, body: dict[str, Any]) -> Any:
        """Add or change the member."""
        member, created = members.put_member(
            actor=actor, slug=slug, username=username, role=body["role"]
        )
        if not created:
            return member
        return Answer(value=member, status=201, location=f"/sites/{slug}/members/{username}")

    @endpoint(
        summary="Remove a member from a site",
        description="Ends the membership and all roles for a time.",
        status=204,
        scopes=("members:write",),
        guard=guards.on_site("members:write"),
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SCOPE_NOT_HELD),
    )
    def delete(self, actor: Actor, slug: str, username: str) -> Any:
        """Remove the member."""
        members.remove_member(actor=actor, slug=slug, username=username)
        return no_content()


def namespace() -> Namespace:
    """Return the routes below `/sites/{slug}/members`."""
    routes = Namespace("members", description="Who belongs to a site", path="/sites/<slug>/members")
    routes.add_resource(MemberList, "")
    routes.add_resource(MemberItem, MEMBER)
    return routes
