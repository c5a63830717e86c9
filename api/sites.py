"""`/sites`: what is published under a slug."""

from typing import Any

from flask_restx import Namespace, Resource

from api import environments, guards, promotions, releases
from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.promotions import WaitQuery
from api.schemas.sites import (
    DeleteSiteQuery,
    PrunedOut,
    PruneIn,
    PruneJobOut,
    SiteIn,
    SiteOut,
    SitePatch,
    SitesQuery,
)
from core.errors import ErrorCode
from models.jobs import Job
from services import pruning, site_reads, site_views, sites
from services.actors import Actor
from services.paging import Page, PageRequest
from services.retention import Pruned
from services.site_views import SiteView
from services.sites import SiteChange

SITE = "/<slug>"


def current_site(*, actor: Actor, slug: str) -> SiteView:
    """Return a site in its present form."""
    return site_reads.get_view(actor=actor, slug=slug)


class SiteList(Resource):
    """All sites."""

    @endpoint(
        summary="List sites",
        query=SitesQuery,
        response=SiteOut,
        paging=Paging.PAGE,
        scopes=("sites:read",),
    )
    def get(self, actor: Actor, page: PageRequest) -> Page[SiteView]:
        """Return the sites the caller may see."""
        return site_reads.list_views(actor=actor, page=page)

    @endpoint(
        summary="Create a site",
        description="Makes the environments `test` and `main` too; the maker becomes its owner.",
        body=SiteIn,
        response=SiteOut,
        status=201,
        scopes=("sites:write",),
        errors=(ErrorCode.ALREADY_EXISTS,),
        example={"slug": "web", "name": "Our web site"},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a site."""
        site = sites.create_site(actor=actor, **body)
        view = site_views.describe(sites=[site])[0]
        return Answer(value=view, location=f"/sites/{site.slug}")


class SiteItem(Resource):
    """One site."""

    @endpoint(summary="Show a site", response=SiteOut, scopes=("sites:read",))
    def get(self, actor: Actor, slug: str) -> SiteView:
        """Return the site."""
        return current_site(actor=actor, slug=slug)

    @endpoint(
        summary="Change a site",
        body=SitePatch,
        response=SiteOut,
        scopes=("sites:write",),
        guard=guards.on_site("sites:write"),
        current=current_site,
        example={"name": "Our new web site"},
    )
    def patch(
        self, actor: Actor, slug: str, body: dict[str, Any], expected_version: int | None
    ) -> SiteView:
        """Change name or description."""
        sites.update_site(
            actor=actor, slug=slug, change=SiteChange(**body), expected_version=expected_version
        )
        return current_site(actor=actor, slug=slug)

    @endpoint(
        summary="Delete a site",
        description="Deletes releases, history and files with it. Audit events stay.",
        query=DeleteSiteQuery,
        status=204,
        scopes=("sites:write",),
        guard=guards.on_site("sites:write"),
        errors=(ErrorCode.PROMOTION_IN_PROGRESS,),
    )
    def delete(self, actor: Actor, slug: str, query: dict[str, Any]) -> Any:
        """Delete the site for good."""
        sites.delete_site(actor=actor, slug=slug, confirm=query["confirm"])
        return no_content()


class SitePrune(Resource):
    """Old releases of one site."""

    @endpoint(
        summary="Delete the files of old releases",
        description="Live, previous, pinned and young releases always stay. When many go, the "
        "answer is 202 with the `job` that deletes them.",
        body=PruneIn,
        query=WaitQuery,
        response=PrunedOut,
        statuses={202: PruneJobOut},
        scopes=("sites:write",),
        guard=guards.on_site("sites:write"),
        example={"keep": 10, "older_than_days": 30, "dry_run": True},
    )
    def post(
        self, actor: Actor, slug: str, body: dict[str, Any], query: dict[str, Any]
    ) -> Pruned | Answer:
        """Prune, or tell what pruning would do."""
        pruned = pruning.prune(actor=actor, slug=slug, **body)
        if isinstance(pruned, Job):
            pruned = pruning.outcome_of(actor=actor, job=pruned, wait_seconds=query["wait"])
        if isinstance(pruned, Job):
            job = pruned.public_id
            return Answer(value={"job": job}, status=202, location=f"/jobs/{job}")
        return pruned


def namespace() -> Namespace:
    """Return the routes below `/sites`."""
    routes = Namespace("sites", description="What is published under a slug", path="/sites")
    routes.add_resource(SiteList, "")
    routes.add_resource(SiteItem, SITE)
    routes.add_resource(SitePrune, f"{SITE}/prune")
    for module in (environments, releases, promotions):
        module.add_routes(routes)
    return routes
