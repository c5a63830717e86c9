"""Tell a listener what happens, for as long as it may know.

The events come from the outbox, first those since the listener's last one, then new ones as they
are committed. Every answer to "may it?" is given anew: for each event, and while nothing happens
every RECHECK_SECONDS for the credential itself.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.clock import monotonic
from core.errors import UnauthenticatedError
from core.settings import current_settings
from models.engine import db
from services.access import find_site
from services.actors import Actor
from services.event_access import may_read_site, readable
from services.event_reader import (
    EventReader,
    StoredEvent,
    Subscription,
    first_and_last,
    read_after,
)
from services.event_views import EventView, shown
from services.transaction import end_reading

EVENTS_KEPT_DAYS = 7
HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 2.0
TICK_SECONDS = 0.5
EVENTS_AT_ONCE = 20
LONGEST_CURSOR = 18


class SignalKind(StrEnum):
    """What a listener is told."""

    READY = "ready"
    EVENT = "event"
    HEARTBEAT = "heartbeat"
    RESET = "reset"
    OVERFLOW = "overflow"
    END = "end"


class EndReason(StrEnum):
    """Why a stream ends, apart from the codes of credentials that do not count any more."""

    LIMIT = "limit"
    TIMEOUT = "timeout"
    RIGHTS_CHANGED = "rights_changed"
    SHUTDOWN = "shutdown"
    GONE = "gone"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing to tell; `cursor` is what to come back with."""

    kind: SignalKind
    cursor: int
    event: EventView | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a listener wants, and for how long; None means no limit of that kind."""

    topics: Sequence[str] = ()
    site_id: int | None = None
    last_event_id: str | None = None
    limit: int | None = None
    timeout_seconds: float | None = None


def site_id_of(*, actor: Actor, slug: str | None) -> int | None:
    """Return the number of the site to listen to, if one is named.

    Raises:
        NotFoundError: there is no such site, or the actor may not know of it.
        ForbiddenError: the actor may not read it.
    """
    return None if slug is None else find_site(actor=actor, slug=slug).id


def listen(
    *,
    reader: EventReader,
    identify: Callable[[], Actor],
    wish: Wish,
    interruption: Callable[[], str | None],
) -> Generator[Signal]:
    """Yield what happens, beginning with READY or RESET and ending with END or OVERFLOW.

    Args:
        reader: the reader of this process.
        identify: who listens, as of now; raises UnauthenticatedError when it is nobody any more.
        wish: what to tell.
        interruption: asked every TICK_SECONDS for a reason to end.
    """
    engine = db.engine
    subscription = reader.subscribe(engine=engine, redis_url=current_settings().redis_url)
    try:
        listener = _Listener(engine, subscription, identify, wish)
        yield from listener.signals(interruption)
    finally:
        reader.unsubscribe(subscription)


class _EndedError(Exception):
    """The stream ends with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Listener:
    """One stream from its beginning to its end."""

    def __init__(
        self,
        engine: Engine,
        subscription: Subscription,
        identify: Callable[[], Actor],
        wish: Wish,
    ) -> None:
        self._engine = engine
        self._subscription = subscription
        self._identify = identify
        self._wish = wish
        self._rights = _rights(identify())
        self._cursor = 0
        self._left = wish.limit
        now = monotonic()
        self._checked_at = self._told_at = now
        self._ends_at = None if wish.timeout_seconds is None else now + wish.timeout_seconds

    def signals(self, interruption: Callable[[], str | None]) -> Iterator[Signal]:
        yield self._beginning()
        try:
            yield from self._backlog()
            while not self._subscription.has_overflowed:
                self._check_time(interruption)
                yield from self._tell(self._subscription.take(wait_seconds=self._patience()))
                yield from self._heartbeat()
            yield self._signal(SignalKind.OVERFLOW)
        except _EndedError as end:
            yield self._signal(SignalKind.END, reason=end.reason)
        except UnauthenticatedError as refusal:
            yield self._signal(SignalKind.END, reason=refusal.code.value)
        except SQLAlchemyError:
            yield self._signal(SignalKind.END, reason=EndReason.UNAVAILABLE)

    def _beginning(self) -> Signal:
        """Begin behind the given event if everything since is there, else now; 0 is the oldest.

        Now is what is committed now: the subscription began before, so nothing lies in between.
        """
        first, last = first_and_last(self._engine)
        given = self._wish.last_event_id
        self._cursor = last
        if given is None:
            return self._signal(SignalKind.READY)
        if not _is_cursor(given) or int(given) > last:
            return self._signal(SignalKind.RESET, reason="unknown")
        if 0 < int(given) < first - 1:
            return self._signal(SignalKind.RESET, reason="too_old")
        self._cursor = int(given)
        return self._signal(SignalKind.READY)

    def _backlog(self) -> Iterator[Signal]:
        """Tell what is committed already; the subscription may bring some of it again."""
        while events := read_after(self._engine, self._cursor):
            yield from self._tell(events)

    def _tell(self, events: Sequence[StoredEvent]) -> Iterator[Signal]:
        """Tell events, a few at a time: telling may take long, and rights may change meanwhile."""
        new = [event for event in events if event.id > self._cursor]
        for start in range(0, max(1, len(new)), EVENTS_AT_ONCE):
            some = new[start : start + EVENTS_AT_ONCE]
            for view in self._visible(some):
                self._cursor = view.cursor
                yield self._signal(SignalKind.EVENT, event=view)
                self._count()
            if some:
                self._cursor = some[-1].id

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise _EndedError(EndReason.LIMIT)

    def _visible(self, events: Sequence[StoredEvent]) -> list[EventView]:
        wanted = [event for event in events if self._is_wanted(event)]
        if not wanted and monotonic() < self._checked_at + RECHECK_SECONDS:
            return []
        try:
            actor = self._check()
            return shown(events=readable(actor=actor, events=wanted)) if wanted else []
        finally:
            end_reading()

    def _is_wanted(self, event: StoredEvent) -> bool:
        if self._wish.site_id not in (None, event.site_id):
            return False
        topics = self._wish.topics
        return not topics or any(fnmatchcase(event.topic, topic) for topic in topics)

    def _check(self) -> Actor:
        """Look at the credential again, and end the stream when it is not what it was."""
        actor, site_id = self._identify(), self._wish.site_id
        self._checked_at = monotonic()
        if _rights(actor) != self._rights:
            raise _EndedError(EndReason.RIGHTS_CHANGED)
        if site_id is not None and not may_read_site(actor=actor, site_id=site_id):
            raise _EndedError(EndReason.RIGHTS_CHANGED)
        return actor

    def _check_time(self, interruption: Callable[[], str | None]) -> None:
        reason = interruption()
        if reason is not None:
            raise _EndedError(reason)
        if self._ends_at is not None and monotonic() >= self._ends_at:
            raise _EndedError(EndReason.TIMEOUT)

    def _patience(self) -> float:
        left = TICK_SECONDS if self._ends_at is None else self._ends_at - monotonic()
        return min(TICK_SECONDS, max(0.0, left))

    def _heartbeat(self) -> Iterator[Signal]:
        if monotonic() >= self._told_at + HEARTBEAT_SECONDS:
            yield self._signal(SignalKind.HEARTBEAT)

    def _signal(
        self, kind: SignalKind, *, event: EventView | None = None, reason: str | None = None
    ) -> Signal:
        self._told_at = monotonic()
        return Signal(kind=kind, cursor=self._cursor, event=event, reason=reason)


def _is_cursor(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_CURSOR


def _rights(actor: Actor) -> tuple[object, ...]:
    return (
        actor.role,
        actor.role_scopes,
        actor.sees_all_sites,
        actor.token_scopes,
        actor.token_site_ids,
    )
