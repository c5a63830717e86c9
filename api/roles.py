"""`/roles` and `/permissions`: what people may do."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.paging import PageQuery
from api.representations import Answer
from api.schemas.roles import PermissionOut, RoleIn, RoleOut, RolePatch, RolesQuery
from core.errors import ErrorCode
from services import roles
from services.actors import Actor
from services.paging import Page, PageRequest
from services.roles import RoleChange

ROLE = "/<name>"


def current_role(*, name: str, **_caller: object) -> Any:
    """Return a role in its present form; everybody who is known may see it."""
    return roles.get_role(name=name)


class RoleList(Resource):
    """All roles."""

    @endpoint(summary="List roles", query=RolesQuery, response=RoleOut, paging=Paging.PAGE)
    def get(self, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return roles."""
        return roles.list_roles(page=page, **query)

    @endpoint(
        summary="Create a role",
        body=RoleIn,
        response=RoleOut,
        status=201,
        scopes=("roles:write",),
        errors=(ErrorCode.ALREADY_EXISTS, ErrorCode.SCOPE_NOT_HELD),
        example={"name": "press", "kind": "site", "inherits": ["reader"]},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a role."""
        name, kind = body.pop("name"), body.pop("kind")
        role = roles.create_role(actor=actor, name=name, kind=kind, change=RoleChange(**body))
        return Answer(value=role, location=f"/roles/{role.name}")


class RoleItem(Resource):
    """One role."""

    @endpoint(summary="Show a role", response=RoleOut, errors=(ErrorCode.NOT_FOUND,))
    def get(self, name: str) -> Any:
        """Return the role."""
        return roles.get_role(name=name)

    @endpoint(
        summary="Change a role",
        description="Counts from the next request of whoever has it, or one that inherits it.",
        body=RolePatch,
        response=RoleOut,
        scopes=("roles:write",),
        guard=roles.require_changeable,
        current=current_role,
        errors=(
            ErrorCode.NOT_FOUND,
            ErrorCode.ROLE_CYCLE,
            ErrorCode.LAST_ADMIN,
            ErrorCode.SCOPE_NOT_HELD,
        ),
        example={"permissions": ["sites:read", "releases:write"]},
    )
    def patch(
        self, actor: Actor, name: str, body: dict[str, Any], expected_version: int | None
    ) -> Any:
        """Change the role."""
        return roles.update_role(
            actor=actor, name=name, change=RoleChange(**body), expected_version=expected_version
        )

    @endpoint(
        summary="Delete a role",
        status=204,
        scopes=("roles:write",),
        guard=roles.require_changeable,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.ROLE_IN_USE),
    )
    def delete(self, actor: Actor, name: str) -> Any:
        """Delete the role."""
        roles.delete_role(actor=actor, name=name)
        return no_content()


class PermissionList(Resource):
    """All permissions there are."""

    @endpoint(
        summary="List permissions",
        query=PageQuery,
        response=PermissionOut,
        paging=Paging.PAGE,
    )
    def get(self, page: PageRequest) -> Page[Any]:
        """Return permissions with their descriptions."""
        return roles.list_permissions(page=page)


def namespace() -> Namespace:
    """Return the routes of `/roles`."""
    routes = Namespace("roles", description="Named sets of permissions", path="/roles")
    routes.add_resource(RoleList, "")
    routes.add_resource(RoleItem, ROLE)
    return routes


def permissions_namespace() -> Namespace:
    """Return the route of `/permissions`."""
    routes = Namespace("permissions", description="What can be allowed", path="/permissions")
    routes.add_resource(PermissionList, "")
    return routes
