"""One thread of a process reads what is new in the outbox, for all who listen there.

The outbox is the truth: its rows are written in the transaction of what they tell of, one after
the other, so a reader that has seen a row has seen all rows before it.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from core.bell import Listener as BellListener
from models.audit import OutboxEvent
from models.engine import Base

logger = logging.getLogger("relevo.events")

QUEUE_LENGTH = 1_000
ROWS_AT_ONCE = 200

_outbox = Base.metadata.tables[OutboxEvent.__tablename__]
_AFTER = (
    select(
        _outbox.c.id,
        _outbox.c.at,
        _outbox.c.topic,
        _outbox.c.site_id,
        _outbox.c.user_id,
        _outbox.c.payload,
    )
    .where(_outbox.c.id > bindparam("after"))
    .order_by(_outbox.c.id)
    .limit(ROWS_AT_ONCE)
)
_ENDS = select(func.min(_outbox.c.id), func.max(_outbox.c.id))


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One row of the outbox; Any: JSON of every shape."""

    id: int
    at: datetime
    topic: str
    site_id: int | None
    user_id: int | None
    payload: dict[str, Any]


def read_after(engine: Engine, after: int) -> list[StoredEvent]:
    """Return the oldest rows behind `after`, at most ROWS_AT_ONCE."""
    with engine.connect() as connection:
        rows = connection.execute(_AFTER, {"after": after}).mappings().all()
    return [StoredEvent(**row) for row in rows]


def first_and_last(engine: Engine) -> tuple[int, int]:
    """Return the numbers of the oldest and of the newest row that is kept; 0 for none."""
    with engine.connect() as connection:
        first, last = connection.execute(_ENDS).one()
    return first or 0, last or 0


class Subscription:
    """What one listener has not taken yet.

    It holds QUEUE_LENGTH events. Whoever is slower than that is told so and comes back with the
    number of the last event it got: nothing is lost, and memory is bounded.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.has_overflowed = False
        self._waiting: deque[StoredEvent] = deque()
        self._filled = threading.Condition()

    def offer(self, events: Sequence[StoredEvent]) -> None:
        """Add events, unless the listener is too slow for them."""
        with self._filled:
            if len(self._waiting) + len(events) > QUEUE_LENGTH:
                self.has_overflowed = True
            if self.has_overflowed:
                self._waiting.clear()
            else:
                self._waiting.extend(events)
            self._filled.notify()

    def overflow(self) -> None:
        """Tell the listener to come back later."""
        with self._filled:
            self.has_overflowed = True
            self._filled.notify()

    def take(self, *, wait_seconds: float) -> list[StoredEvent]:
        """Return what there is, after waiting for it if there is nothing."""
        with self._filled:
            self._filled.wait_for(
                lambda: bool(self._waiting) or self.has_overflowed, timeout=wait_seconds
            )
            taken = list(self._waiting)
            self._waiting.clear()
        return taken


class EventReader:
    """Hands every new row to all subscriptions of this process.

    The thread runs while somebody listens. It belongs to the process that started it: after a
    fork the child begins anew.
    """

    _process: int
    _lock: threading.Lock
    _subscriptions: set[Subscription]
    _thread: threading.Thread | None
    _position: int

    def __init__(self) -> None:
        self._start_anew()

    def subscribe(self, *, engine: Engine, redis_url: str | None) -> Subscription:
        """Begin to listen: the subscription gets every row behind its `start`."""
        if self._process != os.getpid():
            self._start_anew()
        with self._lock:
            if self._thread is None:
                self._position = first_and_last(engine)[1]
                self._thread = threading.Thread(
                    target=self._run, args=(engine, redis_url), name="event-reader", daemon=True
                )
                self._thread.start()
            subscription = Subscription(self._position)
            self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        with self._lock:
            self._subscriptions.discard(subscription)

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._subscriptions = set()
        self._thread = None
        self._position = 0

    def _run(self, engine: Engine, redis_url: str | None) -> None:
        bell = BellListener(redis_url)
        try:
            while self._is_wanted():
                self._read_new(engine)
                bell.wait()
        finally:
            bell.close()
            self._dismiss()

    def _dismiss(self) -> None:
        """Send away whoever still listens when the thread ends for a reason nobody foresaw."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._thread = None
                for subscription in self._subscriptions:
                    subscription.overflow()

    def _is_wanted(self) -> bool:
        with self._lock:
            if self._subscriptions:
                return True
            self._thread = None
            return False

    def _read_new(self, engine: Engine) -> None:
        try:
            while events := read_after(engine, self._position):
                with self._lock:
                    self._position = events[-1].id
                    for subscription in self._subscriptions:
                        subscription.offer(events)
        except SQLAlchemyError as error:
            # The listeners notice by themselves, and leave; the rows stay where they are.
            logger.warning("events cannot be read", extra={"cause": type(error).__name__})
