"""When a delivery is tried next; each turn is a job of its own, planned with it."""

import random
from datetime import datetime, timedelta

from core.clock import utc_now
from core.ids import new_public_id
from models.webhooks import DeliveryState, Webhook, WebhookDelivery
from services.actors import system_actor
from services.jobs import enqueue
from services.transaction import transaction

KIND = "webhooks.deliver"
RETRY_SECONDS = (5, 60, 300, 1_800, 7_200, 28_800, 86_400)
JITTER = 0.2
LONGEST_RETRY_AFTER = 86_400


def plan(*, delivery: WebhookDelivery, at: datetime | None = None) -> None:
    """Try a delivery at a moment, or now; what was planned before does not count any more."""
    with transaction() as session:
        webhook = session.get_one(Webhook, delivery.webhook_id)
        delivery.state, delivery.finished_at, delivery.leased_until = (
            DeliveryState.PENDING,
            None,
            None,
        )
        delivery.turn += 1
        delivery.due_at = at or utc_now()
        session.add(delivery)
        enqueue(
            actor=system_actor(),
            kind=KIND,
            payload={"delivery": delivery.public_id, "turn": delivery.turn},
            site_id=webhook.site_id,
            key=f"webhook:{delivery.public_id}:{delivery.turn}",
            run_at=at,
        )


def new_delivery(
    *, webhook: Webhook, event_id: str, topic: str, occurred_at: datetime, user_id: int | None
) -> WebhookDelivery:
    """Return a delivery that is not planned yet; its payload is still to be set."""
    now = utc_now()
    return WebhookDelivery(
        public_id=new_public_id(),
        webhook_id=webhook.id,
        event_id=event_id,
        topic=topic,
        occurred_at=occurred_at,
        user_id=user_id,
        failures=0,
        turn=0,
        created_at=now,
        planned_at=now,
    )


def next_try(*, failures: int, retry_after_seconds: float | None) -> datetime | None:
    """Return when to try again after so many failures, or None when it is given up.

    The other side may ask for more patience, within reason, but not for less.
    """
    if failures > len(RETRY_SECONDS):
        return None
    pause = RETRY_SECONDS[failures - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nosec B311
    asked = min(retry_after_seconds or 0.0, LONGEST_RETRY_AFTER)
    return utc_now() + timedelta(seconds=max(pause, asked))
