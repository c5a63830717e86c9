"""What environments and hosts show after a restore: what the rows say, as it was on disk.

One exception: a rollback that was made on disk while the database was away, and that the rows do
not know yet, is shown as it was, so that recovery writes it into the history.
"""

import json
import logging
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from core.clock import isoformat, utc_now
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind
from services import hosts, moves, recovery
from services.installation_proof import Contained
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading
from storage.backup_files import BackupFile
from storage.errors import PointerError, ReleaseMissingError
from storage.journals import HistoryEntry, Journal
from storage.way_back import chain, is_behind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One environment as the rows have it now, after which nothing of the session is needed."""

    id: int
    site_id: int
    slug: str
    name: str
    generation: int
    release: int | None
    digest: str | None
    previous: str | None


def show_all(*, file: BackupFile, contained: Contained) -> None:
    """Write pointers, journals and hosts, then let recovery settle what was interrupted."""
    places = _places()
    for place in places:
        pointer, journal = _saved(file, contained, place)
        wanted = _journal(place, pointer, journal)
        if wanted is not None:
            _show(place, wanted)
    hosts.sync()
    recovery.recover_all()


def _places() -> list[_Place]:
    query = select(Environment).options(
        joinedload(Environment.site),
        joinedload(Environment.release),
        joinedload(Environment.previous_release),
    )
    found = [
        _Place(
            id=row.id,
            site_id=row.site_id,
            slug=row.site.slug,
            name=row.name,
            generation=row.generation,
            release=row.release.number if row.release else None,
            digest=row.release.digest if row.release else None,
            previous=row.previous_release.digest if row.previous_release else None,
        )
        for row in db.session.scalars(query.order_by(Environment.id))
    ]
    end_reading()
    return found


def _saved(
    file: BackupFile, contained: Contained, place: _Place
) -> tuple[str | None, Journal | None]:
    member = contained.environments.get((place.site_id, place.name))
    if member is None:
        return None, None
    document = json.loads(file.read(member))
    text = document["journal"]
    try:
        return document["pointer"], Journal.from_json(text.encode()) if text else None
    except PointerError:
        return document["pointer"], None


def _journal(place: _Place, pointer: str | None, saved: Journal | None) -> Journal | None:
    """Choose what the environment is to show; None is nothing."""
    if saved is not None and saved.offline and saved.to_digest == pointer:
        return saved
    if place.digest is None or place.release is None:
        return None
    if saved is not None and (saved.to_digest, saved.generation) == (
        place.digest,
        place.generation,
    ):
        return saved
    history = _history(place)
    return Journal(
        generation=place.generation,
        promotion=history[0].promotion if history else None,
        from_digest=place.previous,
        to_digest=place.digest,
        release=place.release,
        at=isoformat(utc_now()),
        history=history,
        settings=saved.settings if saved else {},
    )


def _history(place: _Place) -> tuple[HistoryEntry, ...]:
    """Return what the promotions of the environment showed, newest first."""
    query = (
        select(Promotion)
        .options(joinedload(Promotion.release))
        .where(*moves.of_environment(environment_id=place.id))
        .order_by(Promotion.number)
    )
    history: list[HistoryEntry] = []
    shown: list[str] = []
    for row in db.session.scalars(query):
        digest = row.release.digest
        is_return = row.kind is PromotionKind.ROLLBACK and is_behind(shown, digest)
        shown = chain([(digest, is_return)], shown)
        entry = HistoryEntry(digest, row.release.number, row.number, row.generation or 0, is_return)
        history.append(entry)
    end_reading()
    return tuple(reversed(history))


def _show(place: _Place, journal: Journal) -> None:
    with translated_storage_errors():
        try:
            site_store().switch(place.slug, place.name, journal)
        except ReleaseMissingError:
            # It was damaged when the backup was made; recovery raises the alarm.
            logger.warning(
                "an environment shows nothing",
                extra={"site": place.slug, "environment": place.name},
            )
