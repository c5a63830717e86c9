"""`/users`: who may sign in, and how to reach them."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.users import (
    ContactIn,
    ContactOut,
    NewUserOut,
    UserIn,
    UserOut,
    UserPatch,
    UsersQuery,
)
from core.errors import ErrorCode
from services import contacts, erasure, users
from services.actors import Actor
from services.contacts import ContactDetails
from services.paging import Page, PageRequest
from services.users import UserChange, UserFilter

USER = "/<username>"


class UserList(Resource):
    """Everybody."""

    @endpoint(
        summary="List users",
        query=UsersQuery,
        response=UserOut,
        paging=Paging.PAGE,
        csv=True,
        scopes=("users:read",),
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return users."""
        return users.list_users(actor=actor, page=page, wanted=UserFilter(**query))

    @endpoint(
        summary="Create a user",
        description="Without a password an invitation is made; its address is in the answer, "
        "this once.",
        body=UserIn,
        response=NewUserOut,
        status=201,
        scopes=("users:write",),
        errors=(ErrorCode.ALREADY_EXISTS, ErrorCode.SCOPE_NOT_HELD),
        example={"username": "ana", "email": "ana@example.org"},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a user."""
        new = users.create_user(actor=actor, **body)
        return Answer(value=new, location=f"/users/{new.user.username}")


class UserItem(Resource):
    """One user."""

    @endpoint(
        summary="Show a user",
        description="Oneself always; others with users:read.",
        response=UserOut,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, username: str) -> Any:
        """Return the user."""
        return users.get_user(actor=actor, username=username)

    @endpoint(
        summary="Change a user",
        description="Setting a password ends all sessions of the user.",
        body=UserPatch,
        response=UserOut,
        scopes=("users:write",),
        guard=users.require_changeable,
        current=users.get_user,
        errors=(
            ErrorCode.NOT_FOUND,
            ErrorCode.ALREADY_EXISTS,
            ErrorCode.LAST_ADMIN,
            ErrorCode.SCOPE_NOT_HELD,
            ErrorCode.SESSION_REQUIRED,
        ),
        example={"role": "maintainer"},
    )
    def patch(
        self, actor: Actor, username: str, body: dict[str, Any], expected_version: int | None
    ) -> Any:
        """Change address, role, state or password."""
        return users.update_user(
            actor=actor,
            username=username,
            change=UserChange(**body),
            expected_version=expected_version,
        )

    @endpoint(
        summary="Deactivate a user",
        description="Locks the user out at once; nothing is deleted. "
        "Undo it with PATCH `is_active`.",
        status=204,
        scopes=("users:write",),
        guard=users.require_changeable,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.LAST_ADMIN, ErrorCode.SCOPE_NOT_HELD),
    )
    def delete(self, actor: Actor, username: str) -> Any:
        """Deactivate the user."""
        users.deactivate(actor=actor, username=username)
        return no_content()


class UserErasure(Resource):
    """The end of a user."""

    @endpoint(
        summary="Erase a user",
        description="Removes name, address, contact, sessions and tokens for good. What the user "
        "did stays in the records, without a name.",
        status=204,
        scopes=("users:write",),
        guard=users.require_changeable,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.LAST_ADMIN, ErrorCode.SCOPE_NOT_HELD),
    )
    def post(self, actor: Actor, username: str) -> Any:
        """Erase the user."""
        erasure.erase(actor=actor, username=username)
        return no_content()


class UserContact(Resource):
    """How to reach one user."""

    @endpoint(
        summary="Show the contact of a user",
        description="One's own always; others with users:read.",
        response=ContactOut,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, username: str) -> Any:
        """Return the contact."""
        return contacts.get_contact(actor=actor, username=username)

    @endpoint(
        summary="Replace the contact of a user",
        description="One's own always; others with users:write. What is left out is cleared.",
        body=ContactIn,
        response=ContactOut,
        guard=contacts.require_changeable,
        current=contacts.get_contact,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SCOPE_MISSING, ErrorCode.SCOPE_NOT_HELD),
        example={"full_name": "Ana Müller", "city": "Graz"},
    )
    def put(self, actor: Actor, username: str, body: dict[str, Any]) -> Any:
        """Write the contact."""
        return contacts.replace_contact(
            actor=actor, username=username, details=ContactDetails(**body)
        )

    @endpoint(
        summary="Delete the contact of a user",
        description="One's own always; others with users:write.",
        status=204,
        guard=contacts.require_changeable,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.SCOPE_MISSING, ErrorCode.SCOPE_NOT_HELD),
    )
    def delete(self, actor: Actor, username: str) -> Any:
        """Forget the contact."""
        contacts.delete_contact(actor=actor, username=username)
        return no_content()


def namespace() -> Namespace:
    """Return the routes below `/users`."""
    routes = Namespace("users", description="Who may sign in", path="/users")
    routes.add_resource(UserList, "")
    routes.add_resource(UserItem, USER)
    routes.add_resource(UserErasure, f"{USER}/erase")
    routes.add_resource(UserContact, f"{USER}/contact")
    return routes
