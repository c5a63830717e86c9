"""Releases as callers see them: one query for each kind of detail, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from core.settings import current_settings
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion
from models.releases import Release, ReleaseState, Submission
from models.users import User
from services import hosts, promotion_views
from services.promotion_views import PromotionView
from services.publishing import PublishedUpload
from services.uploads import DeferredUpload


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where an upload was published by itself, and by which promotion."""

    environment: str
    promotion: int


@dataclass(frozen=True, kw_only=True)
class ReleaseView:
    """One release; message, commit and source are those of the latest submission."""

    number: int
    digest: str | None
    state: str
    file_count: int
    size_bytes: int
    unique_bytes: int
    message: str | None
    commit: str | None
    source_url: str | None
    created_by: str | None
    created_at: datetime
    submissions: int
    verified_at: datetime | None
    pinned: bool
    bad: bool
    environments: Sequence[str]
    stripped: str | None
    url: str | None
    version: int
    published: Published | None = None
    promotion: PromotionView | None = None
    job: str | None = None
    same_as: int | None = None


def describe(*, slug: str, releases: Sequence[Release]) -> list[ReleaseView]:
    """Return the views of `releases`, all of the site `slug`."""
    shown = _environments_showing(releases)
    latest = _latest_submissions(releases)
    names = _names({release.created_by_id for release in releases})
    originals = _numbers({release.same_as_id for release in releases})
    return [
        ReleaseView(
            number=release.number,
            digest=release.digest if _is_known(release) else None,
            state=release.state.value,
            file_count=release.file_count,
            size_bytes=release.size_bytes,
            unique_bytes=release.unique_bytes,
            message=release.message,
            commit=_commit(latest.get(release.id)),
            source_url=_source(latest.get(release.id)),
            created_by=names.get(release.created_by_id),
            created_at=release.created_at,
            submissions=release.submission_count,
            verified_at=release.verified_at,
            pinned=release.pinned,
            bad=release.bad,
            environments=shown.get(release.id, []),
            stripped=release.stripped,
            url=_url(slug, release),
            job=None if release.state is ReleaseState.READY else release.job_id,
            same_as=originals.get(release.same_as_id),
            version=release.version,
        )
        for release in releases
    ]


def describe_upload(*, slug: str, uploaded: PublishedUpload) -> ReleaseView:
    """Return the view of an upload with what it moved."""
    view = describe(slug=slug, releases=[uploaded.upload.release])[0]
    first = next(iter(uploaded.published), None)
    return ReleaseView(
        **{
            **vars(view),
            "stripped": uploaded.upload.stripped,
            "published": _published(first),
            "promotion": promotion_views.describe(slug=slug, promotions=[uploaded.promotion])[0]
            if uploaded.promotion
            else None,
        }
    )


def describe_deferred(*, slug: str, deferred: DeferredUpload) -> ReleaseView:
    """Return the view of an upload that a job will finish."""
    view = describe(slug=slug, releases=[deferred.release])[0]
    return replace(view, job=deferred.job.public_id)


def _is_known(release: Release) -> bool:
    """Tell whether the digest is that of the content, which is unknown until it was unpacked."""
    has_content = release.state in (ReleaseState.READY, ReleaseState.ARCHIVED)
    return has_content and release.same_as_id is None


def _url(slug: str, release: Release) -> str | None:
    if not _is_known(release):
        return None
    return current_settings().site_url(hosts.release_host(slug=slug, digest=release.digest))


def _numbers(ids: set[int | None]) -> dict[int | None, int]:
    wanted = [one for one in ids if one]
    if not wanted:
        return {}
    rows = db.session.execute(select(Release.id, Release.number).where(Release.id.in_(wanted)))
    return dict(rows.all())


def _published(promotion: Promotion | None) -> Published | None:
    if promotion is None:
        return None
    return Published(environment=promotion.to_environment, promotion=promotion.number)


def _commit(submission: Submission | None) -> str | None:
    return submission.commit if submission else None


def _source(submission: Submission | None) -> str | None:
    return submission.source_url if submission else None


def _environments_showing(releases: Sequence[Release]) -> dict[int, list[str]]:
    shown: dict[int, list[str]] = {}
    rows = db.session.execute(
        select(Environment.release_id, Environment.name)
        .where(Environment.release_id.in_([release.id for release in releases]))
        .order_by(Environment.rank, Environment.id)
    )
    for release_id, name in rows:
        if release_id is not None:
            shown.setdefault(release_id, []).append(name)
    return shown


def _latest_submissions(releases: Sequence[Release]) -> dict[int, Submission]:
    ids = [release.latest_submission_id for release in releases]
    rows = db.session.scalars(select(Submission).where(Submission.id.in_(ids)))
    return {submission.release_id: submission for submission in rows}


def _names(user_ids: set[int | None]) -> dict[int | None, str]:
    rows = db.session.execute(
        select(User.id, User.username).where(User.id.in_([key for key in user_ids if key]))
    )
    return dict(rows.all())
