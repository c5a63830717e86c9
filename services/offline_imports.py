"""Rollbacks that were made on disk while the database was away: how they enter the history."""

from sqlalchemy import select

from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind
from models.releases import Release
from models.sites import Site
from services import audit, promotion_rows, switching
from services.actors import Actor, Via, system_actor
from services.pointer_state import Seen
from services.transaction import transaction
from storage.journals import OfflineRollback


def waiting_rollbacks(*, seen: Seen) -> list[OfflineRollback]:
    """Return the offline rollbacks that the history does not know yet, oldest first.

    One that was cut off between journal and rename did not take place: the pointer never showed
    its release, neither at the next rollback nor now.
    """
    offline = seen.journal.offline if seen.journal else ()
    if not offline:
        return []
    shown = [*(later.from_digest for later in offline[1:]), seen.link]
    done = [entry for entry, after in zip(offline, shown, strict=True) if entry.to_digest == after]
    known = set(
        db.session.scalars(
            select(Promotion.offline_id).where(
                Promotion.offline_id.in_([entry.id for entry in done])
            )
        )
    )
    return [entry for entry in done if entry.id not in known]


def import_rollback(
    *, site: Site, environment_id: int, entry: OfflineRollback, release: Release
) -> None:
    """Write one offline rollback as a promotion that succeeded, named after who made it."""
    actor = Actor(**{**vars(system_actor()), "username": entry.by})
    with transaction() as session:
        move = switching.begin(
            actor=actor,
            site=site,
            environment=session.get_one(Environment, environment_id, populate_existing=True),
            release=release,
            kind=PromotionKind.ROLLBACK,
            comment=entry.reason,
        )
        promotion = promotion_rows.as_loaded(move)
        promotion.offline_id = entry.id
        promotion.via = Via.CLI.value
        session.flush()
        audit.record(
            actor=actor,
            action="promotion.offline_imported",
            target=switching.promotion_target(site=site, number=move.number),
            after={"by": entry.by, "at": entry.at, "release": release.number},
        )
        switching.succeed(actor=actor, site=site, promotion_id=move.id, hold=entry.reason)
