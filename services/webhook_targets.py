"""The circuit breaker: a host that fails again and again is left alone for a growing time.

One row for each host and port, shared by all webhooks that call it and by all processes. Whoever
wants to call locks the row first, so that the decisions about one target are taken in turn, while
those about other targets wait for nobody.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from models.engine import db
from models.webhooks import DeliveryState, Webhook, WebhookDelivery, WebhookTarget
from services.transaction import transaction

OPENS_AFTER_FAILURES = 5
FIRST_PAUSE_SECONDS = 30
LONGEST_PAUSE_SECONDS = 3600
CALLS_AT_ONCE = 2
PROBE_SECONDS = 60
BUSY_SECONDS = 2.0


class BreakerState(StrEnum):
    """Whether a target is called: always, not now, or one call at a time to try it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True)
class TargetView:
    """How a target behaves, for the owner of a webhook."""

    name: str
    state: BreakerState
    failures: int
    retry_at: datetime | None


def views(*, names: Iterable[str]) -> dict[str, TargetView]:
    """Return how these targets behave; those never called are closed."""
    wanted = set(names)
    rows = db.session.scalars(select(WebhookTarget).where(WebhookTarget.name.in_(wanted)))
    known = {row.name: _view(row) for row in rows}
    return {name: known.get(name) or _unknown(name) for name in wanted}


def ensure(*, name: str) -> None:
    """Make the row of a target, unless there is one."""
    if db.session.scalar(select(WebhookTarget.id).where(WebhookTarget.name == name)) is not None:
        return
    try:
        with transaction() as session:
            session.add(WebhookTarget(name=name, failures=0, trips=0, updated_at=utc_now()))
    except IntegrityError:
        return  # somebody else was faster


def ask(*, name: str) -> datetime | None:
    """Ask for a call to a target, in a transaction; None is a yes, a moment says when to ask again.

    Locks the row of the target until the transaction ends.
    """
    target, now = _locked(name), utc_now()
    if target.open_until is not None and now < target.open_until:
        return target.open_until + _spread(5)
    if target.open_until is not None:
        if target.probe_until is not None and now < target.probe_until:
            return now + _spread(BUSY_SECONDS)
        target.probe_until = now + timedelta(seconds=PROBE_SECONDS)
        return None
    return None if _running(name, now) < CALLS_AT_ONCE else now + _spread(BUSY_SECONDS)


def note(*, name: str, is_reachable: bool) -> None:
    """Write down how a call ended, in a transaction."""
    target, now = _locked(name), utc_now()
    target.probe_until, target.updated_at = None, now
    if is_reachable:
        target.failures, target.trips, target.open_until = 0, 0, None
        return
    target.failures += 1
    was_open = target.open_until is not None
    if was_open or target.failures >= OPENS_AFTER_FAILURES:
        pause = min(FIRST_PAUSE_SECONDS * 2**target.trips, LONGEST_PAUSE_SECONDS)
        target.trips = min(target.trips + 1, 20)
        target.open_until = now + timedelta(seconds=pause)


def _locked(name: str) -> WebhookTarget:
    return db.session.scalars(
        select(WebhookTarget)
        .where(WebhookTarget.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _running(name: str, now: datetime) -> int:
    query = (
        select(func.count())
        .select_from(WebhookDelivery)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(
            Webhook.target == name,
            WebhookDelivery.state == DeliveryState.SENDING,
            WebhookDelivery.leased_until > now,
        )
    )
    return db.session.scalar(query) or 0


def _view(row: WebhookTarget) -> TargetView:
    state = BreakerState.CLOSED
    if row.open_until is not None:
        state = BreakerState.OPEN if utc_now() < row.open_until else BreakerState.HALF_OPEN
    retry_at = row.open_until if state is BreakerState.OPEN else None
    return TargetView(name=row.name, state=state, failures=row.failures, retry_at=retry_at)


def _unknown(name: str) -> TargetView:
    return TargetView(name=name, state=BreakerState.CLOSED, failures=0, retry_at=None)


def _spread(seconds: float) -> timedelta:
    """Return up to `seconds`, so that what waits does not come back all at once."""
    return timedelta(seconds=random.uniform(seconds / 2, seconds))  # noqa: S311  # nosec B311
