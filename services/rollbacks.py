"""Rollbacks: back to what was live before, with a hold against automatic promotions."""

from sqlalchemy import case, func, select
from sqlalchemy.exc import IntegrityError

from core.errors import ConflictError, ErrorCode, InvalidInputError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import (
    Promotion,
    PromotionKind,
    PromotionResult,
    PromotionState,
    SiteBackup,
)
from models.releases import Release, ReleaseState
from models.sites import Site
from services import access, plans, promotions, recovery, releases, switching
from services.actors import Actor
from services.switching import Stopwatch
from services.transaction import repeatable, transaction

WRITE = ("sites:read", "promotions:rollback")
MAX_CANDIDATES = 20


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

    Without `release` or `backup` it is the newest verified release that is not marked bad and
    was live before the present one. A lock does not stop a rollback. Needs no disk space but a
    journal file of some hundred bytes.

    Raises:
        ForbiddenError: promotions:rollback is missing on this site or environment.
        InvalidInputError: environment, release or backup do not exist, or both were named.
        ConflictError: `release_not_ready`, there is nothing to return to;
            `promotion_in_progress` or `drift_detected`.
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
        return _usable(site, releases.resolve(site=site, reference=release))
    if backup is not None:
        return _usable(site, _backed_up(site, environment, backup))
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


def _earlier(environment: Environment) -> list[Release]:
    """Return the good releases that were live before the present one, newest first.

    "Before" counts from the promotion that brought the present release, not from the rollback
    that returned to it: a second rollback goes further back, not to and fro.
    """
    moves = (
        Promotion.environment_id == environment.id,
        Promotion.state == PromotionState.SUCCEEDED,
        Promotion.result == PromotionResult.SWITCHED,
    )
    is_rollback = case((Promotion.kind == PromotionKind.ROLLBACK, 1), else_=0)
    brought = db.session.scalar(
        select(Promotion.number)
        .where(*moves, Promotion.release_id == environment.release_id)
        .order_by(is_rollback, Promotion.number.desc())
        .limit(1)
    )
    if brought is None:
        return []
    shown = (
        select(Promotion.release_id, func.max(Promotion.number).label("number"))
        .where(*moves, Promotion.number < brought, Promotion.release_id != environment.release_id)
        .group_by(Promotion.release_id)
        .subquery()
    )
    query = (
        select(Release)
        .join(shown, shown.c.release_id == Release.id)
        .where(
            Release.state == ReleaseState.READY,
            Release.verified_at.is_not(None),
            Release.bad.is_(False),
        )
        .order_by(shown.c.number.desc())
        .limit(MAX_CANDIDATES)
    )
    return list(db.session.scalars(query))


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
