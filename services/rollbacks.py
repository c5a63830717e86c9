"""Rollbacks: back to what was live before, with a hold against automatic promotions."""

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from core.errors import ConflictError, ErrorCode, InvalidInputError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, PromotionResult, SiteBackup
from models.releases import Release, ReleaseState
from models.sites import Site
from services import access, moves, plans, promotions, recovery, releases, switching
from services.actors import Actor
from services.switching import Stopwatch
from services.transaction import repeatable, transaction
from storage.way_back import way_back

WRITE = ("sites:read", "promotions:rollback")
MAX_CANDIDATES = 100
"""How many earlier releases are looked at; all of them may be bad or damaged."""


def roll_back(
    *,
    actor: Actor,
    slug: str,
    environment: str = "main",
    release: int | None = None,
    backup: str | None = None,
    reason: str | None = None,
) -> Promotion:
    """Show an earlier release again and hold the environment.

    Without `release` or `backup` it is the nearest verified release on the way back that is not
    marked bad; a named one must have been live here before. So this never shows anything new,
    which is why a lock does not stop it. Needs no disk space but a journal file of a few
    thousand bytes.

    Raises:
        ForbiddenError: promotions:rollback is missing on this site or environment.
        InvalidInputError: environment, release or backup do not exist, or both were named.
        ConflictError: `release_not_ready`, there is nothing to return to, or the release named
            was never live here or is damaged; `release_marked_bad`, `promotion_in_progress` or
            `drift_detected`.
        OperationFailedError: the switch failed; the release before is still served.
    """
    watch = Stopwatch()
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    place = plans.environment_named(site=site, name=environment, pointer="/environment")
    access.require_environment(actor=actor, environment=environment, scope="promotions:rollback")
    with switching.environment_turn(slug=slug, environment=environment):
        recovery.settle(site=site, environment_name=environment)
        promotion = _begin(actor, site, place.id, release, backup, reason)
        watch.lap("check")
        if promotion.result is PromotionResult.UNCHANGED:
            return promotion
        return switching.execute(
            actor=actor, site=site, promotion=promotion, watch=watch, hold=reason
        )


@repeatable()
def _begin(
    actor: Actor,
    site: Site,
    environment_id: int,
    release: int | None,
    backup: str | None,
    reason: str | None,
) -> Promotion:
    try:
        with transaction():
            environment = switching.locked_environment(environment_id=environment_id)
            target = _target(site, environment, release, backup)
            switching.lock_release(target)
            _usable(site, target)
            if environment.release_id == target.id:
                return promotions.unchanged(
                    actor=actor,
                    site=site,
                    environment=environment,
                    release=target,
                    kind=PromotionKind.ROLLBACK,
                    comment=reason,
                )
            return switching.new_promotion(
                actor=actor,
                site=site,
                environment=environment,
                release=target,
                kind=PromotionKind.ROLLBACK,
                comment=reason,
            )
    except IntegrityError as error:
        raise switching.in_progress() from error


def _target(
    site: Site, environment: Environment, release: int | None, backup: str | None
) -> Release:
    if release is not None and backup is not None:
        raise InvalidInputError.field("/backup", "Name a release or a backup, not both.")
    if release is not None:
        named = releases.resolve(site=site, reference=release)
        return _named(site, environment, named)
    if backup is not None:
        return _named(site, environment, _backed_up(site, environment, backup))
    for candidate in _earlier(environment):
        if _is_usable(site, candidate):
            return candidate
    raise ConflictError(
        "There is no earlier release to return to.", code=ErrorCode.RELEASE_NOT_READY
    )


def _backed_up(site: Site, environment: Environment, backup: str) -> Release:
    row = db.session.scalar(
        select(SiteBackup).where(
            SiteBackup.site_id == site.id,
            SiteBackup.environment_name == environment.name,
            SiteBackup.public_id == backup,
        )
    )
    if row is None:
        raise InvalidInputError.field(
            "/backup", "The environment has no such backup.", code="unknown_backup"
        )
    return row.release


def _named(site: Site, environment: Environment, release: Release) -> Release:
    """Refuse what would be a promotion: it has its own permission, locks and holds."""
    if not _was_shown(environment, release):
        raise ConflictError(
            f"{environment.name} has never shown release {release.number}, so there is no way "
            "back to it; promote it.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number, "allowed_actions": ["promote"]},
        )
    if release.bad:
        raise ConflictError(
            "This release is marked bad; take the mark away to return to it.",
            code=ErrorCode.RELEASE_MARKED_BAD,
            members={"release": release.number},
        )
    return _usable(site, release)


def _was_shown(environment: Environment, release: Release) -> bool:
    promoted = select(Promotion.id).where(
        *moves.of_environment(environment_id=environment.id),
        or_(Promotion.release_id == release.id, Promotion.previous_release_id == release.id),
    )
    kept = select(SiteBackup.id).where(
        SiteBackup.site_id == environment.site_id,
        SiteBackup.environment_name == environment.name,
        SiteBackup.release_id == release.id,
    )
    return any(db.session.scalar(query.limit(1)) is not None for query in (promoted, kept))


def _earlier(environment: Environment) -> list[Release]:
    """Return the good releases on the way back, the nearest first."""
    shown = moves.chain_of(environment_id=environment.id)
    behind = way_back(shown, environment.release_id)[:MAX_CANDIDATES]
    query = select(Release).where(
        Release.id.in_(behind),
        Release.state == ReleaseState.READY,
        Release.verified_at.is_not(None),
        Release.bad.is_(False),
    )
    good = {release.id: release for release in db.session.scalars(query)}
    return [good[key] for key in behind if key in good]


def _is_usable(site: Site, release: Release) -> bool:
    if release.state is not ReleaseState.READY or release.verified_at is None:
        return False
    return site_store().has_release(site.slug, release.digest)


def _usable(site: Site, release: Release) -> Release:
    if not _is_usable(site, release):
        raise ConflictError(
            "The files of this release are gone or damaged; upload it again.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number},
        )
    return release
