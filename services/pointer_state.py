"""What the disk shows for an environment, and whether that is what the history says."""

from dataclasses import dataclass

from core.extensions import site_store
from models.engine import db
from services import promotion_facts
from services.promotion_facts import EnvironmentFacts
from storage.errors import PointerError
from storage.journals import Journal


@dataclass(frozen=True, slots=True)
class Seen:
    """What the disk shows for an environment; read by whoever holds its turn.

    `is_ours` tells whether the link has a form of ours; a damaged journal is as good as none.
    """

    link: str | None
    is_ours: bool
    journal: Journal | None

    def agrees(self, digest: str | None) -> bool:
        """Tell whether this is what the history says, and nothing waits to enter it."""
        is_told = self.journal is None or not self.journal.offline
        return is_told and self.is_ours and self.link == digest


def look(*, slug: str, environment: str) -> Seen:
    """Read the pointer of an environment and its journal."""
    journal = readable_journal(slug=slug, environment=environment)
    try:
        return Seen(site_store().pointer(slug, environment), is_ours=True, journal=journal)
    except PointerError:
        return Seen(None, is_ours=False, journal=journal)


def readable_journal(*, slug: str, environment: str) -> Journal | None:
    """Return the journal of an environment; a damaged one is as good as none."""
    try:
        return site_store().journal(slug, environment)
    except PointerError:
        return None


class NotAtRestError(Exception):
    """There is something to settle before a pointer may be moved."""


def locked_environment(environment_id: int, seen: Seen | None) -> EnvironmentFacts:
    """Lock an environment in the open unit of work, and read it with what is live.

    Args:
        environment_id: the environment.
        seen: what its disk shows; None where everything was settled a moment ago.

    Raises:
        NotAtRestError: disk and history differ, or a promotion was interrupted.
    """
    place = promotion_facts.locked_environment(db.session.connection(), environment_id)
    if seen is not None and not is_at_rest(place, seen):
        raise NotAtRestError
    return place


def is_at_rest(place: EnvironmentFacts, seen: Seen) -> bool:
    """Tell whether there is nothing to settle; the caller holds the turn."""
    if place.drift_seen_at is not None or place.is_running:
        return False
    return seen.agrees(place.release.digest if place.release else None)
