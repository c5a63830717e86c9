"""`/sites/{slug}/environments`: the places a site is served from."""

from typing import Any

from flask_restx import Namespace, Resource

from api import guards
from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.environments import (
    EnvironmentIn,
    EnvironmentOut,
    EnvironmentPatch,
    EnvironmentsQuery,
    LockIn,
)
from core.errors import ErrorCode
from services import environment_views, environments
from services.actors import Actor
from services.environment_views import EnvironmentView
from services.environments import EnvironmentChange
from services.paging import Page, PageRequest

ITEM = "/<slug>/environments/<name>"


def current_environment(*, actor: Actor, slug: str, name: str) -> EnvironmentView:
    """Return an environment in its present form."""
    environment = environments.get_environment(actor=actor, slug=slug, name=name)
    return environment_views.describe(slug=slug, environments=[environment])[0]


class EnvironmentList(Resource):
    """The environments of one site."""

    @endpoint(
        summary="List environments",
        query=EnvironmentsQuery,
        response=EnvironmentOut,
        paging=Paging.PAGE,
        scopes=("sites:read",),
    )
    def get(self, actor: Actor, slug: str, page: PageRequest) -> Page[Any]:
        """Return the environments in rank order."""
        found = environments.page_of_environments(actor=actor, slug=slug, page=page)
        views = environment_views.describe(slug=slug, environments=found.items)
        return found.with_items(views)

    @endpoint(
        summary="Create an environment",
        body=EnvironmentIn,
        response=EnvironmentOut,
        status=201,
        scopes=("environments:write",),
        guard=guards.on_site("environments:write"),
        errors=(ErrorCode.ALREADY_EXISTS,),
        example={"name": "staging", "rank": 15},
    )
    def post(self, actor: Actor, slug: str, body: dict[str, Any]) -> Answer:
        """Add a place to serve the site from."""
        made = environments.create_environment(actor=actor, slug=slug, **body)
        view = environment_views.describe(slug=slug, environments=[made])[0]
        return Answer(value=view, location=f"/sites/{slug}/environments/{made.name}")


class EnvironmentItem(Resource):
    """One environment."""

    @endpoint(summary="Show an environment", response=EnvironmentOut, scopes=("sites:read",))
    def get(self, actor: Actor, slug: str, name: str) -> EnvironmentView:
        """Return the environment."""
        return current_environment(actor=actor, slug=slug, name=name)

    @endpoint(
        summary="Change an environment",
        description="`policy` is merged key by key, `domains` are replaced as a whole.",
        body=EnvironmentPatch,
        response=EnvironmentOut,
        scopes=("environments:write",),
        guard=guards.on_environment("environments:write"),
        current=current_environment,
        errors=(ErrorCode.ALREADY_EXISTS,),
        example={"policy": {"auto": True}},
    )
    def patch(
        self,
        actor: Actor,
        slug: str,
        name: str,
        body: dict[str, Any],
        expected_version: int | None,
    ) -> EnvironmentView:
        """Change rank, domains or policy."""
        environments.update_environment(
            actor=actor,
            slug=slug,
            name=name,
            change=EnvironmentChange(**body),
            expected_version=expected_version,
        )
        return current_environment(actor=actor, slug=slug, name=name)

    @endpoint(
        summary="Delete an environment",
        status=204,
        scopes=("environments:write",),
        guard=guards.on_environment("environments:write"),
        errors=(ErrorCode.ENVIRONMENT_IN_USE, ErrorCode.PROMOTION_IN_PROGRESS),
    )
    def delete(self, actor: Actor, slug: str, name: str) -> Any:
        """Remove the environment; its promotions stay in the history."""
        environments.delete_environment(actor=actor, slug=slug, name=name)
        return no_content()


class EnvironmentLock(Resource):
    """What keeps promotions out of one environment."""

    @endpoint(
        summary="Lock an environment",
        description="A lock stops promotions into it, never uploads or rollbacks.",
        body=LockIn,
        response=EnvironmentOut,
        scopes=("environments:write",),
        guard=guards.on_environment("environments:write"),
        example={"reason": "Trade fair until Friday"},
    )
    def put(self, actor: Actor, slug: str, name: str, body: dict[str, Any]) -> EnvironmentView:
        """Keep promotions out."""
        environments.lock(actor=actor, slug=slug, name=name, **body)
        return current_environment(actor=actor, slug=slug, name=name)

    @endpoint(
        summary="Unlock an environment",
        status=204,
        scopes=("environments:write",),
        guard=guards.on_environment("environments:write"),
    )
    def delete(self, actor: Actor, slug: str, name: str) -> Any:
        """Let promotions in again."""
        environments.unlock(actor=actor, slug=slug, name=name)
        return no_content()


class EnvironmentHold(Resource):
    """What a rollback left behind."""

    @endpoint(
        summary="Lift the hold of a rollback",
        description="By a person who is signed in; a token cannot.",
        status=204,
        scopes=("promotions:write",),
        guard=guards.on_environment("promotions:write"),
        errors=(ErrorCode.SESSION_REQUIRED,),
    )
    def delete(self, actor: Actor, slug: str, name: str) -> Any:
        """Let tokens and automatic publishing in again."""
        environments.lift_hold(actor=actor, slug=slug, name=name)
        return no_content()


def add_routes(routes: Namespace) -> None:
    """Add the routes below `/sites/{slug}/environments`."""
    routes.add_resource(EnvironmentList, "/<slug>/environments")
    routes.add_resource(EnvironmentItem, ITEM)
    routes.add_resource(EnvironmentLock, f"{ITEM}/lock")
    routes.add_resource(EnvironmentHold, f"{ITEM}/hold")
