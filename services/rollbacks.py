"""Rollbacks: back to what was live before, with a hold against automatic promotions."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from core.errors import ConflictError, ErrorCode, InvalidInputError
from core.extensions import site_store
from models.engine import db
from models.promotions import Promotion, PromotionKind, SiteBackup
from models.releases import ReleaseState
from services import access, moves, plans, promotion_facts, promotions, recovery, switching
from services.access import SiteKey
from services.actors import Actor
from services.pointer_state import Seen, locked_environment
from services.promotion_facts import (
    EnvironmentFacts,
    ReleaseFacts,
    earlier_releases,
    environment_named,
    named_release,
    release_by_id,
)
from services.promotion_rows import Move, Moved
from services.switching import Stopwatch
from services.transaction import repeatable, single_statements, transaction
from storage.way_back import is_behind, way_back

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
) -> Promotion | Moved:
    """Show an earlier release again and hold the environment.

    `promotions.loaded` makes a row of the session of what comes back.

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
    site = access.find_key(actor=actor, slug=slug, scopes=WRITE)
    with single_statements() as connection:
        place = environment_named(connection, site_id=site.id, name=environment)
    if place is None:
        raise plans.unknown_environment("/environment")
    access.require_environment(actor=actor, environment=environment, scope="promotions:rollback")
    with switching.environment_turn(slug=slug, environment=environment):
        begun, seen = recovery.settled(
            slug=slug,
            environment=environment,
            begin=partial(_begin, actor, site, place.id, release, backup, reason),
        )
        watch.lap("check")
        return promotions.finish(
            actor=actor, site=site, begun=begun, watch=watch, seen=seen, hold=reason
        )


@repeatable()
def _begin(
    actor: Actor,
    site: SiteKey,
    environment_id: int,
    release: int | None,
    backup: str | None,
    reason: str | None,
    seen: Seen | None,
) -> Move | Promotion:
    try:
        with transaction() as session:
            environment = locked_environment(environment_id, seen)
            shown = moves.chain_of(environment_id=environment_id)
            found = _target(site, environment, shown, release, backup)
            target = promotion_facts.locked(session.connection(), found)
            _require_usable(site, target)
            if environment.release_id == target.id:
                return promotions.unchanged(
                    actor=actor,
                    site=site,
                    environment=environment,
                    release=target,
                    kind=PromotionKind.ROLLBACK,
                    comment=reason,
                )
            return switching.begin(
                actor=actor,
                site=site,
                environment=environment,
                release=target,
                kind=PromotionKind.ROLLBACK,
                comment=reason,
                is_return=is_behind(shown, target.id),
            )
    except IntegrityError as error:
        raise switching.in_progress() from error


def _target(
    site: SiteKey,
    environment: EnvironmentFacts,
    shown: Sequence[int],
    release: int | None,
    backup: str | None,
) -> ReleaseFacts:
    if release is not None and backup is not None:
        raise InvalidInputError.field("/backup", "Name a release or a backup, not both.")
    connection = db.session.connection()
    if release is not None:
        named = named_release(connection, site_id=site.id, reference=release)
        return _named(site, environment, named)
    if backup is not None:
        kept = release_by_id(connection, _backed_up(environment, backup))
        return _named(site, environment, kept)
    behind = way_back(shown, environment.release_id)[:MAX_CANDIDATES]
    for candidate in earlier_releases(connection, behind):
        if _is_usable(site, candidate):
            return candidate
    raise ConflictError(
        "There is no earlier release to return to.", code=ErrorCode.RELEASE_NOT_READY
    )


def _backed_up(environment: EnvironmentFacts, backup: str) -> int:
    """Return the key of the release that a restore point keeps."""
    release_id = db.session.scalar(
        select(SiteBackup.release_id).where(
            SiteBackup.site_id == environment.site_id,
            SiteBackup.environment_name == environment.name,
            SiteBackup.public_id == backup,
        )
    )
    if release_id is None:
        raise InvalidInputError.field(
            "/backup", "The environment has no such backup.", code="unknown_backup"
        )
    return release_id


def _named(site: SiteKey, environment: EnvironmentFacts, release: ReleaseFacts) -> ReleaseFacts:
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
    _require_usable(site, release)
    return release


def _was_shown(environment: EnvironmentFacts, release: ReleaseFacts) -> bool:
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


def _is_usable(site: SiteKey, release: ReleaseFacts) -> bool:
    if release.state is not ReleaseState.READY or release.verified_at is None:
        return False
    return site_store().has_release(site.slug, release.digest)


def _require_usable(site: SiteKey, release: ReleaseFacts) -> None:
    if not _is_usable(site, release):
        raise ConflictError(
            "The files of this release are gone or damaged; upload it again.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number},
        )
