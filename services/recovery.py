"""Make disk, database and history agree again after a crash or an offline rollback.

Per environment, holding its lock file: the link equals the goal of an interrupted promotion:
roll forward; it equals the start: failed; the journal tells of an offline rollback: import it;
anything else is drift: touch nothing, raise the alarm, and let an operator choose.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, NotFoundError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, PromotionState
from models.releases import Release
from models.sites import Site
from services import (
    audit,
    drift_alarms,
    hosts,
    offline_imports,
    switching,
)
from services.actors import Actor, system_actor
from services.pointer_state import NotAtRestError, Seen, is_at_rest, look
from services.promotion_facts import RUNNING_SLOT, environment_named
from services.transaction import end_reading, transaction
from storage.errors import StorageError
from storage.journals import OfflineRollback

logger = logging.getLogger("relevo.recovery")
T = TypeVar("T")

STAGING_HOURS = 24
LOOK_SECONDS = 0.5
"""How long recovery waits for a turn: longer than others who only look hold one."""


class Outcome(StrEnum):
    """What recovery found and did for one environment."""

    CLEAN = "clean"
    BUSY = "busy"
    ROLLED_FORWARD = "rolled_forward"
    FAILED = "failed"
    IMPORTED = "imported"
    DRIFT = "drift"
    UNREADABLE = "unreadable"


class Accept(StrEnum):
    """Which side an operator believes when they differ."""

    DISK = "disk"
    DATABASE = "database"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome for one environment."""

    site: str
    environment: str
    outcome: Outcome


def recover_all() -> list[Finding]:
    """Settle every environment and mend the hosts; safe at any time and as often as one likes.

    Returns:
        One finding for each environment; running promotions of living processes are `busy`.
    """
    site_store().prepare()
    end_reading()
    rows = db.session.execute(
        select(Site.id, Site.slug, Environment.name, Release.digest, Environment.drift_seen_at)
        .join(Environment, Environment.site_id == Site.id)
        .outerjoin(Release, Release.id == Environment.release_id)
        .order_by(Site.id, Environment.rank)
    ).all()
    moving = _moving()
    end_reading()
    findings = [
        Finding(
            site=slug,
            environment=name,
            outcome=_look(
                site_id, slug, name, digest, suspect=seen is not None or (site_id, name) in moving
            ),
        )
        for site_id, slug, name, digest, seen in rows
    ]
    hosts.sync()
    site_store().sweep_staging(older_than_seconds=STAGING_HOURS * 3600)
    for finding in findings:
        if finding.outcome not in (Outcome.CLEAN, Outcome.BUSY):
            logger.warning("environment recovered", extra=vars(finding))
    return findings


def _moving() -> set[tuple[int, str]]:
    """Return site and name of the environments that a promotion is marked to be moving.

    UNIQUE(environment_id, slot) finds them by way of the environments, in a history of any length.
    """
    rows = db.session.execute(
        select(Promotion.site_id, Promotion.to_environment)
        .join(Environment, Environment.id == Promotion.environment_id)
        .where(Promotion.slot == RUNNING_SLOT)
    )
    return {(row.site_id, row.to_environment) for row in rows}


def _look(site_id: int, slug: str, name: str, digest: str | None, *, suspect: bool) -> Outcome:
    try:
        if not suspect and look(slug=slug, environment=name).agrees(digest):
            return Outcome.CLEAN
        return _settle_if_free(site_id, slug, name)
    except (StorageError, OSError) as error:
        # One folder that cannot be read must not keep the others from being mended.
        logger.exception(
            "an environment could not be looked at",
            exc_info=error,
            extra={"site": slug, "environment": name},
        )
        return Outcome.UNREADABLE


def settled(*, slug: str, environment: str, begin: Callable[[Seen | None], T]) -> tuple[T, Seen]:
    """Begin to move a pointer, after settling what there is to settle.

    Mostly there is nothing, and that is seen by the statement that locks the environment.

    Args:
        slug: the site.
        environment: the environment; the caller holds its turn.
        begin: one unit of work that begins with `locked_environment`.

    Raises:
        ConflictError: `drift_detected`, an operator has to choose; or what `begin` raises.
    """
    seen = look(slug=slug, environment=environment)
    try:
        return begin(seen), seen
    except NotAtRestError:
        site = db.session.scalars(select(Site).where(Site.slug == slug)).one()
        settle(site=site, environment_name=environment)
        return begin(None), look(slug=slug, environment=environment)


def settle(*, site: Site, environment_name: str) -> Outcome:
    """Bring one environment in order; the caller holds its lock file.

    Raises:
        ConflictError: `drift_detected`, an operator has to choose.
    """
    slug = site.slug
    place = environment_named(db.session.connection(), site_id=site.id, name=environment_name)
    if place and is_at_rest(place, look(slug=slug, environment=environment_name)):
        return Outcome.CLEAN
    outcome = _settle(site, environment_name)
    if outcome is Outcome.DRIFT:
        raise ConflictError(
            "What is served is not what the history says. Nothing was touched; an operator has "
            f"to choose with: relevo sites recover {slug} {environment_name} --accept "
            "disk|database",
            code=ErrorCode.DRIFT_DETECTED,
        )
    return outcome


def accept(*, actor: Actor, slug: str, environment_name: str, side: Accept) -> Promotion | None:
    """Resolve drift the way an operator chose; returns None when that moved no pointer.

    That is so when there was no drift, and when the database's side is that nothing is shown.

    Raises:
        NotFoundError: site or environment do not exist, or the disk shows an unknown release.
        ConflictError: something that is no link lies in the pointer's place, or a promotion is
            running.
        OperationFailedError: the chosen release has no files.
    """
    site = db.session.scalar(select(Site).where(Site.slug == slug))
    if site is None:
        raise NotFoundError("There is no such site.")
    with switching.environment_turn(slug=slug, environment=environment_name):
        if _settle(site, environment_name) is not Outcome.DRIFT:
            return None
        _refuse_foreign_pointer(slug, environment_name)
        environment = _environment(site, environment_name)
        if side is Accept.DISK:
            chosen = _release_on_disk(site, environment_name)
        else:
            chosen = environment.release
        if chosen is not None:
            return _adopt(actor, site, environment, chosen)
        if side is Accept.DISK:
            raise NotFoundError("The disk shows no release that is known here.")
        _show_nothing(actor, site, environment)
        return None


def pending() -> int:
    """Return how many promotions are marked running that no living process works on."""
    return sum(
        1 for promotion_id, slug, name in _running() if _is_abandoned(promotion_id, slug, name)
    )


def _running() -> list[tuple[int, str, str]]:
    rows = db.session.execute(
        select(Promotion.id, Site.slug, Promotion.to_environment)
        .join(Site, Site.id == Promotion.site_id)
        .join(Environment, Environment.id == Promotion.environment_id)
        .where(Promotion.slot == RUNNING_SLOT)
    )
    return [(row.id, row.slug, row.to_environment) for row in rows]


def _is_abandoned(promotion_id: int, slug: str, name: str) -> bool:
    """Tell whether a promotion that was running has no end though nobody has its turn.

    Its end is written before the turn is given back, so it is looked at after that. The turn is
    not held meanwhile: readiness is asked often, and would keep recovery away.
    """
    if switching.has_turn(slug=slug, environment=name):
        return False
    end_reading()
    slot = db.session.scalar(select(Promotion.slot).where(Promotion.id == promotion_id))
    return slot == RUNNING_SLOT


def _settle_if_free(site_id: int, slug: str, name: str) -> Outcome:
    try:
        with switching.environment_turn(slug=slug, environment=name, wait_seconds=LOOK_SECONDS):
            site = db.session.get(Site, site_id, populate_existing=True)
            return Outcome.CLEAN if site is None else _settle(site, name)
    except ConflictError:
        return Outcome.BUSY
    except NotFoundError:
        return Outcome.CLEAN  # deleted a moment ago


def _settle(site: Site, name: str) -> Outcome:
    seen = look(slug=site.slug, environment=name)
    link = seen.link
    if not seen.is_ours:
        return _raise_alarm(site, _environment(site, name), link)
    waiting = offline_imports.waiting_rollbacks(seen=seen)
    environment = _environment(site, name)
    running = db.session.scalar(
        select(Promotion).where(
            Promotion.environment_id == environment.id,
            Promotion.slot == RUNNING_SLOT,
        )
    )
    outcome = Outcome.CLEAN
    if running is not None:
        outcome = _finish(site, running, waiting[0].from_digest if waiting else link)
        environment = _environment(site, name)
    if waiting and outcome is not Outcome.DRIFT:
        return _import_offline(site, environment, waiting)
    if outcome is not Outcome.CLEAN:
        return outcome
    expected = environment.release.digest if environment.release else None
    if link != expected:
        return _raise_alarm(site, environment, link)
    if environment.drift_seen_at is not None:
        drift_alarms.end_alarm(site=site, environment=environment)
    return Outcome.CLEAN


def _finish(site: Site, running: Promotion, link: str | None) -> Outcome:
    previous = running.previous_release.digest if running.previous_release else None
    if link == running.release.digest:
        switching.succeed(
            actor=_actor_of(running), site=site, promotion_id=running.id, hold=running.comment
        )
        return Outcome.ROLLED_FORWARD
    if link == previous:
        switching.fail(
            actor=_actor_of(running),
            site=site,
            promotion_id=running.id,
            code=ErrorCode.PROMOTION_FAILED,
            detail="The process ended before the switch; the release before is still served.",
        )
        return Outcome.FAILED
    with transaction() as session:
        promotion = session.get_one(Promotion, running.id, populate_existing=True)
        promotion.state, promotion.slot = PromotionState.NEEDS_ATTENTION, None
        promotion.error_code = ErrorCode.DRIFT_DETECTED.value
        promotion.error_detail = "The pointer shows neither the old nor the new release."
        promotion.finished_at = utc_now()
        audit.record(
            actor=_actor_of(promotion),
            action="promotion.needs_attention",
            target=switching.promotion_target(site=site, number=promotion.number),
            after={"code": ErrorCode.DRIFT_DETECTED.value},
        )
    return _raise_alarm(site, _environment(site, running.to_environment), link)


def _import_offline(
    site: Site, environment: Environment, waiting: Sequence[OfflineRollback]
) -> Outcome:
    """Write a promotion for each rollback that was made on disk, oldest first."""
    releases = [_release_by_digest(site, entry.to_digest) for entry in waiting]
    if None in releases:
        return _raise_alarm(site, environment, waiting[-1].to_digest)
    for entry, release in zip(waiting, releases, strict=True):
        if release is not None:
            offline_imports.import_rollback(
                site=site, environment_id=environment.id, entry=entry, release=release
            )
    return Outcome.IMPORTED


def _raise_alarm(site: Site, environment: Environment, link: str | None) -> Outcome:
    drift_alarms.raise_alarm(site=site, environment=environment, link=link)
    return Outcome.DRIFT


def _refuse_foreign_pointer(slug: str, name: str) -> None:
    pointer = site_store().layout.pointer(slug, name)
    if pointer.exists() and not pointer.is_symlink():
        raise ConflictError(
            f"{pointer} is no link. Move away what lies there, then choose again.",
            code=ErrorCode.DRIFT_DETECTED,
        )


def _show_nothing(actor: Actor, site: Site, environment: Environment) -> None:
    """Take away the pointer of an environment that, as the history says, was never promoted."""
    slug, name = site.slug, environment.name
    with transaction() as session:
        fresh = session.get_one(Environment, environment.id, populate_existing=True)
        fresh.drift_seen_at = None
        audit.record(
            actor=actor,
            action="environment.drift_resolved",
            target=drift_alarms.environment_target(site=site, environment=environment),
            after={"release": None},
        )
    site_store().remove_environment(slug, name)
    hosts.sync()


def _adopt(actor: Actor, site: Site, environment: Environment, chosen: Release) -> Promotion:
    with transaction() as session:
        fresh = session.get_one(Environment, environment.id, populate_existing=True)
        move = switching.begin(
            actor=actor,
            site=site,
            environment=fresh,
            release=chosen,
            kind=PromotionKind.PROMOTE,
            comment="Drift resolved by an operator.",
        )
    switching.carry_out(actor=actor, site=site, move=move, watch=switching.Stopwatch())
    return db.session.get_one(Promotion, move.id)


def _environment(site: Site, name: str) -> Environment:
    environment = db.session.scalar(
        select(Environment)
        .where(Environment.site_id == site.id, Environment.name == name)
        .execution_options(populate_existing=True)
    )
    if environment is None:
        raise NotFoundError("The site has no such environment.")
    return environment


def _release_on_disk(site: Site, name: str) -> Release | None:
    return _release_by_digest(site, look(slug=site.slug, environment=name).link)


def _release_by_digest(site: Site, digest: str | None) -> Release | None:
    return db.session.scalar(
        select(Release).where(Release.site_id == site.id, Release.digest == digest)
    )


def _actor_of(promotion: Promotion) -> Actor:
    """Return the system acting for the user whose promotion was interrupted."""
    user = promotion.user
    return Actor(**{**vars(system_actor()), "username": user.username if user else None})
