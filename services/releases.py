"""Releases: uploads become immutable, numbered, verified sets of files."""

from dataclasses import dataclass, field

from sqlalchemy import Select, select, update

from core.clock import utc_now
from core.errors import NotFoundError, PreconditionError
from models.engine import db
from models.releases import Release, Submission
from models.sites import Site
from services import access, audit
from services.actors import Actor
from services.paging import Page, PageRequest, matching, paginate
from services.promotion_facts import named_release
from services.transaction import changed_rows, transaction
from storage.inventory import Strip

WRITE = ("sites:read", "releases:write")
SORTABLE = {"number": Release.number, "created_at": Release.created_at}


@dataclass(frozen=True, kw_only=True)
class UploadNote:
    """What the uploader says about an upload."""

    message: str | None = None
    commit: str | None = None
    source_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The outcome of one upload; `created` is False when equal content was there already."""

    release: Release
    submission: Submission
    created: bool
    stripped: str | None


@dataclass(frozen=True, kw_only=True)
class ReleaseChange:
    """The fields to change; None leaves one as it is, but an empty message clears it."""

    pinned: bool | None = None
    bad: bool | None = None
    message: str | None = None

    def values(self) -> dict[str, object]:
        """Return the columns to write."""
        wanted = {key: value for key, value in vars(self).items() if value is not None}
        return {key: value if value != "" else None for key, value in wanted.items()}


@dataclass(frozen=True, kw_only=True)
class ReceiveOptions:
    """How an archive is to be read; `strip` is auto, 0 or 1."""

    strip: str = Strip.AUTO.value
    allow_secret_files: bool = False
    note: UploadNote = field(default_factory=UploadNote)


def list_releases(*, actor: Actor, slug: str, page: PageRequest) -> Page[Release]:
    """Return the releases of a site; `q` looks into messages, commits and digests."""
    site = access.find_site(actor=actor, slug=slug)
    query = select(Release).where(Release.site_id == site.id)
    wanted = matching(page.q, Release.message, Release.digest)
    if wanted is not None:
        query = query.where(wanted | Release.id.in_(_submitted_as(site, page.q)))
    return paginate(query, page, sortable=SORTABLE, default="-number", tiebreak=Release.id)


def get_release(*, actor: Actor, slug: str, number: int) -> Release:
    """Return one release.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    return find_release(site=site, number=number)


def find_release(*, site: Site, number: int) -> Release:
    """Return a release of a site the caller has already checked.

    Raises:
        NotFoundError: the site has no such release.
    """
    release = db.session.scalar(
        select(Release).where(Release.site_id == site.id, Release.number == number)
    )
    if release is None:
        raise NotFoundError("The site has no such release.")
    return release


def resolve(*, site: Site, reference: int | str, pointer: str = "/release") -> Release:
    """Return the release that a number or `commit:<sha>` names.

    Of several uploads of one commit the latest counts. The number of an upload whose content
    was there already names the older release. `pointer` says which input it was.

    Raises:
        InvalidInputError: there is none.
    """
    found = named_release(
        db.session.connection(), site_id=site.id, reference=reference, pointer=pointer
    )
    return db.session.get_one(Release, found.id)


def original(release: Release) -> Release:
    """Return the release that holds the content of `release`: mostly itself.

    A large upload gets its number before its content is known. When that turns out to be there
    already the number stands for the older release.
    """
    if release.same_as_id is None:
        return release
    return db.session.get_one(Release, release.same_as_id)


def update_release(
    *,
    actor: Actor,
    slug: str,
    number: int,
    change: ReleaseChange,
    expected_version: int | None = None,
) -> Release:
    """Pin a release, mark it bad, or reword its message.

    Raises:
        PreconditionError: `expected_version` is not the present one.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    release = find_release(site=site, number=number)
    changes = change.values()
    with transaction() as session:
        session.get_one(Release, release.id, with_for_update=True, populate_existing=True)
        before = {key: getattr(release, key) for key in changes}
        statement = update(Release).where(Release.id == release.id)
        if expected_version is not None:
            statement = statement.where(Release.version == expected_version)
        changed = changed_rows(
            statement.values(**changes, version=Release.version + 1, updated_at=utc_now())
        )
        if changed == 0:
            raise PreconditionError("The release was changed by somebody else.")
        audit.record(
            actor=actor,
            action="release.updated",
            target=target(site, number),
            before=before,
            after=changes,
        )
        session.refresh(release)
    return release


def _submitted_as(site: Site, words: str | None) -> Select[int]:
    query = select(Submission.release_id).where(Submission.site_id == site.id)
    wanted = matching(words, Submission.commit, Submission.message)
    return query if wanted is None else query.where(wanted)


def target(site: Site, number: int) -> audit.Target:
    """Return the audit target of a release."""
    return audit.Target(type="release", id=f"{site.slug}/{number}", site_id=site.id)
