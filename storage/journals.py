"""The file beside each pointer that tells what the last switch meant to do."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from storage.errors import PointerError
from storage.layout import checked_digest
from storage.way_back import chain

MAX_HISTORY = 20


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A release the environment has shown, the present one included.

    `is_return` tells that it was reached by going back along the chain.
    """

    digest: str
    release: int | None
    promotion: int | None
    generation: int
    is_return: bool = False


@dataclass(frozen=True, slots=True)
class OfflineRollback:
    """A rollback made while the database was out of reach, until it is imported as a row."""

    id: str
    by: str
    reason: str | None
    at: str
    from_digest: str | None = None
    to_digest: str | None = None
    generation: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What the pointer of one environment should be, and how it came to be.

    `history` is newest first; at most 20 are kept. `base` is the way back as it was before the
    oldest of them, newest first and as long at most. `settings` are the environment's serving
    settings, which storage keeps and does not read.
    """

    generation: int
    promotion: int | None
    from_digest: str | None
    to_digest: str
    release: int | None
    at: str
    history: tuple[HistoryEntry, ...] = ()
    base: tuple[HistoryEntry, ...] = ()
    offline: tuple[OfflineRollback, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    def following(
        self,
        *,
        promotion: int | None,
        to_digest: str,
        release: int | None,
        at: str,
        is_return: bool = False,
    ) -> "Journal":
        """Return the journal of the next switch after this one."""
        return first_journal(
            generation=self.generation + 1,
            promotion=promotion,
            from_digest=self.to_digest,
            to_digest=to_digest,
            release=release,
            at=at,
            is_return=is_return,
            history=self.history,
            base=self.base,
            offline=self.offline,
            settings=self.settings,
        )

    def shown(self, current: str | None) -> tuple[HistoryEntry, ...]:
        """Return the history without a switch that was announced and never took place.

        Args:
            current: what the pointer shows; after a crash it is `from_digest`, after a move by
                hand something else.
        """
        is_before = current == self.from_digest != self.to_digest
        return self.history[1:] if is_before else self.history

    def chain(self, current: str | None) -> list[str]:
        """Return the digests that lie on top of each other, the one shown last."""
        return _chain(self.shown(current), self.base)

    def to_json(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, data: bytes) -> "Journal":
        """Read what `to_json` wrote.

        Raises:
            PointerError: it is not a journal.
        """
        try:
            document = orjson.loads(data)
            document["history"] = tuple(HistoryEntry(**item) for item in document["history"])
            document["base"] = tuple(HistoryEntry(**item) for item in document.get("base", ()))
            document["offline"] = tuple(OfflineRollback(**item) for item in document["offline"])
            document["generation"] = operator.index(document["generation"])
            document["to_digest"] = checked_digest(document["to_digest"])
            return cls(**document)
        except (ValueError, KeyError, TypeError) as error:
            raise PointerError("The journal of the environment is damaged.") from error


def first_journal(
    *,
    generation: int,
    promotion: int | None,
    from_digest: str | None,
    to_digest: str,
    release: int | None,
    at: str,
    is_return: bool = False,
    history: tuple[HistoryEntry, ...] = (),
    base: tuple[HistoryEntry, ...] = (),
    offline: tuple[OfflineRollback, ...] = (),
    settings: Mapping[str, object] | None = None,
) -> Journal:
    """Return a journal whose newest history entry is the switch it describes."""
    entry = HistoryEntry(to_digest, release, promotion, generation, is_return)
    return Journal(
        generation=generation,
        promotion=promotion,
        from_digest=from_digest,
        to_digest=to_digest,
        release=release,
        at=at,
        history=(entry, *history),
        base=base,
        offline=offline,
        settings=settings or {},
    )


def capped(journal: Journal) -> Journal:
    """Return the journal with no more history than is kept; the way back stays what it was."""
    recent, oldest = journal.history[:MAX_HISTORY], journal.history[MAX_HISTORY:]
    if not oldest and not journal.base:
        return journal
    entries = {entry.digest: entry for entry in (*journal.base, *oldest)}
    behind = reversed(_chain(oldest, journal.base)[-MAX_HISTORY:])
    kept = (entries[digest] for digest in behind)
    base = tuple(replace(entry, is_return=False) if entry.is_return else entry for entry in kept)
    return replace(journal, history=recent, base=base)


def _chain(history: tuple[HistoryEntry, ...], base: tuple[HistoryEntry, ...]) -> list[str]:
    moves = ((entry.digest, entry.is_return) for entry in reversed(history))
    return chain(moves, [entry.digest for entry in reversed(base)], is_complete=False)
