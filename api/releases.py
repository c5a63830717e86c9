"""`/sites/{slug}/releases`: uploads and what became of them."""

from typing import Any

from flask import Response
from flask_restx import Namespace, Resource

from api import guards
from api.conditional import is_not_modified
from api.endpoint import endpoint, no_content
from api.operation import Paging, Upload
from api.promotion_problems import shown_in_problem
from api.representations import Answer
from api.schemas.promotions import WaitQuery
from api.schemas.releases import (
    ManifestOut,
    ReleaseOut,
    ReleasePatch,
    ReleasesQuery,
    UploadQuery,
)
from api.uploads import UploadBody
from core.errors import ErrorCode
from services import downloads, pruning, release_views, releases, uploads, waits
from services.actors import Actor
from services.downloads import ManifestView
from services.paging import Page, PageRequest
from services.publishing import PublishedUpload
from services.release_views import ReleaseView
from services.releases import ReceiveOptions, ReleaseChange, UploadNote
from services.uploads import DeferredUpload

LIST = "/<slug>/releases"
REVALIDATED = "private, no-cache"
ITEM = f"{LIST}/<int:number>"


def current_release(*, actor: Actor, slug: str, number: int) -> ReleaseView:
    """Return a release in its present form."""
    release = releases.get_release(actor=actor, slug=slug, number=number)
    return release_views.describe(slug=slug, releases=[release])[0]


class ReleaseList(Resource):
    """The releases of one site."""

    @endpoint(
        summary="List releases",
        query=ReleasesQuery,
        response=ReleaseOut,
        paging=Paging.PAGE,
        scopes=("sites:read",),
    )
    def get(self, actor: Actor, slug: str, page: PageRequest) -> Page[Any]:
        """Return the releases, newest first."""
        found = releases.list_releases(actor=actor, slug=slug, page=page)
        return found.with_items(release_views.describe(slug=slug, releases=found.items))

    @endpoint(
        summary="Upload a release",
        description="The body is a zip, tar or tar.gz archive, or a form with it in `file`. "
        "Equal content that is there already answers 200. By default the upload is published "
        "to the environments whose policy is `auto`; `to=` names another one. A large upload "
        "answers 202 with the `job` that unpacks it, or like a small one when that ends within "
        "`wait`.",
        upload=Upload.ARCHIVE,
        query=UploadQuery,
        response=ReleaseOut,
        status=201,
        statuses={200: ReleaseOut, 202: ReleaseOut},
        scopes=("releases:write",),
        guard=guards.on_site("releases:write"),
        errors=(
            ErrorCode.ARCHIVE_INVALID,
            ErrorCode.SECRET_FILE,
            ErrorCode.QUOTA_EXCEEDED,
            ErrorCode.INSUFFICIENT_DISK,
            ErrorCode.PROMOTION_IN_PROGRESS,
            ErrorCode.ENVIRONMENT_LOCKED,
            ErrorCode.ENVIRONMENT_HELD,
            ErrorCode.PROMOTION_FAILED,
        ),
    )
    def post(self, actor: Actor, slug: str, body: UploadBody, query: dict[str, Any]) -> Answer:
        """Store an archive as a release and publish it."""
        note = UploadNote(
            message=query.get("message"),
            commit=query.get("commit"),
            source_url=query.get("source_url"),
        )
        options = ReceiveOptions(
            strip=query["strip"], allow_secret_files=query["allow_secret_files"], note=note
        )
        with shown_in_problem(slug):
            uploaded = uploads.upload(
                actor=actor, slug=slug, stream=body, to=query.get("to"), options=options
            )
            if isinstance(uploaded, DeferredUpload):
                uploaded = uploads.outcome_of(
                    actor=actor, slug=slug, deferred=uploaded, wait_seconds=query["wait"]
                )
        return _uploaded(slug, uploaded)


class ReleaseItem(Resource):
    """One release."""

    @endpoint(
        summary="Show a release", query=WaitQuery, response=ReleaseOut, scopes=("sites:read",)
    )
    def get(self, actor: Actor, slug: str, number: int, query: dict[str, Any]) -> ReleaseView:
        """Return the release, with `wait` as soon as it is ready or has failed."""
        waits.for_release(actor=actor, slug=slug, reference=number, seconds=query["wait"])
        return current_release(actor=actor, slug=slug, number=number)

    @endpoint(
        summary="Pin, mark or reword a release",
        body=ReleasePatch,
        response=ReleaseOut,
        scopes=("releases:write",),
        guard=guards.on_release("releases:write"),
        current=current_release,
        example={"pinned": True},
    )
    def patch(
        self,
        actor: Actor,
        slug: str,
        number: int,
        body: dict[str, Any],
        expected_version: int | None,
    ) -> ReleaseView:
        """Change the marks of the release; its files never change."""
        releases.update_release(
            actor=actor,
            slug=slug,
            number=number,
            change=ReleaseChange(**body),
            expected_version=expected_version,
        )
        return current_release(actor=actor, slug=slug, number=number)

    @endpoint(
        summary="Delete the files of a release",
        description="The release stays listed as `archived`. More than INLINE_PRUNE_FILES go from "
        "the disk by a job.",
        status=204,
        scopes=("releases:write",),
        guard=guards.on_release("releases:write"),
        errors=(ErrorCode.RELEASE_PROTECTED,),
    )
    def delete(self, actor: Actor, slug: str, number: int) -> Any:
        """Delete the files unless somebody needs them."""
        pruning.delete_release(actor=actor, slug=slug, number=number)
        return no_content()


class ReleaseManifest(Resource):
    """The list of a release's files."""

    @endpoint(
        summary="Show the manifest of a release",
        response=ManifestOut,
        scopes=("sites:read",),
        errors=(ErrorCode.RELEASE_NOT_READY,),
    )
    def get(self, actor: Actor, slug: str, number: int) -> ManifestView:
        """Return all files with hashes, sizes and types."""
        return downloads.manifest_of(actor=actor, slug=slug, number=number)


class ReleaseFile(Resource):
    """One file of a release."""

    @endpoint(
        summary="Download one file of a release",
        scopes=("sites:read",),
        produces="*/*",
        errors=(ErrorCode.RELEASE_NOT_READY,),
    )
    def get(self, actor: Actor, slug: str, number: int, path: str) -> Response:
        """Send the file, never as a page of this origin."""
        file = downloads.file_of(actor=actor, slug=slug, number=number, path=path)
        if is_not_modified(file.sha256):
            file.close()
            response = Response(status=304)
            response.set_etag(file.sha256)
            response.headers["Cache-Control"] = REVALIDATED
            return response
        response = Response(file.chunks, mimetype="application/octet-stream")
        response.content_length = file.size_bytes
        response.set_etag(file.sha256)
        response.headers["Cache-Control"] = REVALIDATED
        response.headers.set("Content-Disposition", "attachment", filename=path.split("/")[-1])
        response.call_on_close(file.close)
        return response


class ReleaseArchive(Resource):
    """A release as one file."""

    @endpoint(
        summary="Download a release as tar.gz",
        scopes=("sites:read",),
        produces="application/gzip",
        errors=(ErrorCode.RELEASE_NOT_READY,),
    )
    def get(self, actor: Actor, slug: str, number: int) -> Response:
        """Send an archive that gives the same release again when it is uploaded."""
        chunks = downloads.archive_of(actor=actor, slug=slug, number=number)
        response = Response(chunks, mimetype="application/gzip")
        response.headers.set(
            "Content-Disposition", "attachment", filename=f"{slug}-{number}.tar.gz"
        )
        return response


def _uploaded(slug: str, uploaded: PublishedUpload | DeferredUpload) -> Answer:
    if isinstance(uploaded, DeferredUpload):
        view = release_views.describe_deferred(slug=slug, deferred=uploaded)
        status = 202
    else:
        view = release_views.describe_upload(slug=slug, uploaded=uploaded)
        status = 201 if uploaded.upload.created else 200
    return Answer(value=view, status=status, location=f"/sites/{slug}/releases/{view.number}")


def add_routes(routes: Namespace) -> None:
    """Add the routes below `/sites/{slug}/releases`."""
    routes.add_resource(ReleaseList, LIST)
    routes.add_resource(ReleaseItem, ITEM)
    routes.add_resource(ReleaseManifest, f"{ITEM}/manifest")
    routes.add_resource(ReleaseFile, f"{ITEM}/files/<path:path>")
    routes.add_resource(ReleaseArchive, f"{ITEM}/archive.tar.gz")
