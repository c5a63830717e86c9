"""Sites: what is published under a slug."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    PreconditionError,
)
from core.extensions import site_store
from core.hooks import Hook
from models.access_grants import AccessGrant
from models.approval_policies import ApprovalPolicy
from models.engine import db
from models.environments import Domain, Environment
from models.promotions import Promotion, SiteBackup
from models.releases import Release, Submission
from models.roles import Role
from models.sites import Membership, Site
from services import access, audit, hosts
from services.actors import Actor
from services.names import SLUG_RULE, is_slug
from services.permissions import MAKER_SITE_ROLE
from services.transaction import changed_rows, end_reading, transaction
from storage.locks import LockBusyError, file_lock, release_lock_path

TURN_SECONDS = 5.0
STANDARD_ENVIRONMENTS: tuple[tuple[str, int, bool], ...] = (("test", 10, True), ("main", 20, False))


def _nobody(**_circumstances: object) -> None:
    """Nobody wants to know."""


removing: Hook[..., None] = Hook(_nobody)
"""Called with actor and site in the unit of work that deletes a site, before its rows go."""


@dataclass(frozen=True, kw_only=True)
class SiteChange:
    """The fields to change; None leaves one as it is."""

    name: str | None = None
    description: str | None = None


def create_site(*, actor: Actor, slug: str, name: str, description: str = "") -> Site:
    """Make a site with the environments `test` (publishes uploads by itself) and `main`.

    The maker becomes its owner.

    Raises:
        ForbiddenError: sites:write is not held everywhere, or the token is limited to sites.
        ConflictError: the slug is taken.
        InvalidInputError: the slug is none.
    """
    actor.require("sites:write")
    if actor.token_site_ids is not None:
        raise ForbiddenError.missing_scopes(required=["sites:write"], missing=["sites:write"])
    if not is_slug(slug):
        raise InvalidInputError.field("/slug", SLUG_RULE, code="invalid")
    site_store().prepare()
    with _site_turn(slug):
        _forget_namesake(slug)
        try:
            site = _insert(actor=actor, slug=slug, name=name, description=description)
        except IntegrityError as error:
            raise ConflictError("There is a site with this slug already.") from error
    for environment, _, _ in STANDARD_ENVIRONMENTS:
        hosts.point_environment(slug=slug, environment=environment, domains=[])
    return site


def update_site(
    *, actor: Actor, slug: str, change: SiteChange, expected_version: int | None = None
) -> Site:
    """Change name or description.

    Raises:
        PreconditionError: `expected_version` is not the present one.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "sites:write"))
    changes = {k: v for k, v in vars(change).items() if v is not None}
    before = {key: getattr(site, key) for key in changes}
    with transaction() as session:
        statement = update(Site).where(Site.id == site.id)
        if expected_version is not None:
            statement = statement.where(Site.version == expected_version)
        changed = changed_rows(
            statement.values(**changes, version=Site.version + 1, updated_at=utc_now())
        )
        if changed == 0:
            raise PreconditionError("The site was changed by somebody else.")
        audit.record(
            actor=actor,
            action="site.updated",
            target=_target(site),
            before=before,
            after=changes,
        )
        session.refresh(site)
    return site


def delete_site(*, actor: Actor, slug: str, confirm: str | None) -> None:
    """Delete a site with all its releases, history and files. Audit events stay.

    Raises:
        InvalidInputError: `confirm` does not repeat the slug.
        ConflictError: a promotion is running.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "sites:write"))
    if confirm != slug:
        raise InvalidInputError.field(
            "?confirm", "Repeat the slug of the site to delete it.", code="confirm"
        )
    with _site_turn(slug):
        with transaction() as session:
            site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "sites:write"))
            running = select(Promotion.id).where(Promotion.site_id == site.id, Promotion.slot == 1)
            if session.scalar(running.limit(1)) is not None:
                raise ConflictError(
                    "A promotion of this site is running.", code=ErrorCode.PROMOTION_IN_PROGRESS
                )
            removing(actor=actor, site=site)
            _delete_rows(site.id)
            audit.record(
                actor=actor,
                action="site.deleted",
                target=_target(site),
                before={"name": site.name},
            )
        hosts.sync()
        site_store().remove_site(slug)


@contextmanager
def _site_turn(slug: str) -> Iterator[None]:
    """Make or delete a site while nobody else does, and while nothing is uploaded to it.

    Raises:
        ConflictError: `promotion_in_progress`, an upload to the site did not end in time.
    """
    end_reading()
    try:
        with file_lock(
            release_lock_path(site_store().layout.root, slug), wait_seconds=TURN_SECONDS
        ):
            yield
    except LockBusyError as error:
        raise ConflictError(
            "An upload to this site is running.", code=ErrorCode.PROMOTION_IN_PROGRESS
        ) from error


def _forget_namesake(slug: str) -> None:
    """Remove the pointers of a deleted site of this name that a crash left behind.

    Its releases stay for the sweep: after the database was restored from an older copy they may
    be wanted.
    """
    known = db.session.scalar(select(Site.id).where(Site.slug == slug))
    end_reading()
    folder = site_store().layout.site(slug)
    if known is not None or not folder.is_dir():
        return
    for name in [path.name for path in folder.iterdir() if path.is_symlink()]:
        with suppress(ValueError):  # no environment could have that name
            site_store().remove_environment(slug, name)


def forget_environment(*, site: Site, name: str) -> None:
    """Remove the files of a deleted environment of this name that a crash left behind."""
    query = select(Environment.id).where(Environment.site_id == site.id, Environment.name == name)
    known = db.session.scalar(query)
    slug = site.slug
    end_reading()
    if known is None:
        site_store().remove_environment(slug, name)


def _insert(*, actor: Actor, slug: str, name: str, description: str) -> Site:
    now = utc_now()
    with transaction() as session:
        site = Site(
            slug=slug,
            name=name,
            description=description,
            created_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )
        session.add(site)
        session.flush()  # the environments and the membership need the id
        for environment, rank, auto in STANDARD_ENVIRONMENTS:
            session.add(
                Environment(
                    site_id=site.id,
                    name=environment,
                    rank=rank,
                    policy={"auto": auto},
                    created_at=now,
                    updated_at=now,
                )
            )
        if actor.user_id is not None:
            owner = session.scalars(select(Role).where(Role.name == MAKER_SITE_ROLE)).one()
            session.add(
                Membership(site_id=site.id, user_id=actor.user_id, role_id=owner.id, created_at=now)
            )
        audit.record(actor=actor, action="site.created", target=_target(site), after={"name": name})
    return site


def _delete_rows(site_id: int) -> None:
    """Delete children before parents: some foreign keys restrict on purpose."""
    environment_ids = select(Environment.id).where(Environment.site_id == site_id)
    db.session.execute(delete(Domain).where(Domain.environment_id.in_(environment_ids)))
    for model in (
        SiteBackup,
        Promotion,
        Environment,
        Submission,
        Release,
        Membership,
        AccessGrant,
        ApprovalPolicy,
    ):
        db.session.execute(delete(model).where(model.site_id == site_id))
    db.session.execute(delete(Site).where(Site.id == site_id))


def _target(site: Site) -> audit.Target:
    return audit.Target(type="site", id=site.slug, site_id=site.id)
