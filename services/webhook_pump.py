"""From the outbox to deliveries: each event becomes one delivery for each webhook that wants it."""

import logging
from datetime import timedelta

from sqlalchemy import delete, or_, select, update

from core.clock import utc_now
from models.audit import OutboxEvent
from models.engine import db
from models.sites import Site
from models.webhooks import DeliveryState, Webhook, WebhookDelivery, WebhookTarget
from services.transaction import changed_rows, end_reading, repeatable, transaction
from services.webhook_queue import new_delivery, plan
from services.webhook_topics import wants

logger = logging.getLogger("relevo.webhooks")

EVENTS_AT_ONCE = 100
ROUNDS = 20
LATE_SECONDS = 300
KEEP_DAYS = 30


def pump() -> int:
    """Make deliveries of what happened since; returns how many events were looked at.

    Safe in several processes: the rows are locked or passed over where the engine can do that,
    and an event that was seen twice makes no second delivery.
    """
    total = 0
    for _ in range(ROUNDS):
        seen = _pump_some()
        total += seen
        if seen < EVENTS_AT_ONCE:
            break
    return total


def revive() -> int:
    """Plan again what nobody works on although it is due; returns how many deliveries.

    A call whose process ended in the middle counts as failed: the receiver knows a second one
    by its webhook-id.
    """
    now = utc_now()
    late = now - timedelta(seconds=LATE_SECONDS)
    lost = (
        (WebhookDelivery.state == DeliveryState.SENDING) & (WebhookDelivery.leased_until < now)
    ) | ((WebhookDelivery.state == DeliveryState.PENDING) & (WebhookDelivery.due_at < late))
    ids = db.session.scalars(select(WebhookDelivery.id).where(lost).limit(EVENTS_AT_ONCE)).all()
    end_reading()
    return sum(_revive_one(delivery_id) for delivery_id in ids)


def forget() -> int:
    """Delete what ended KEEP_DAYS ago, targets that nobody calls, and replaced secrets."""
    stale = utc_now() - timedelta(days=KEEP_DAYS)
    called = select(Webhook.target)
    statements = (
        delete(WebhookDelivery).where(WebhookDelivery.finished_at < stale),
        delete(WebhookTarget).where(
            WebhookTarget.updated_at < stale, WebhookTarget.name.not_in(called)
        ),
    )
    replaced = update(Webhook).where(Webhook.previous_secret_until < utc_now())
    with transaction():
        changed_rows(replaced.values(previous_secret=None, previous_secret_until=None))
        return sum(changed_rows(statement) for statement in statements)


def is_waiting() -> bool:
    """Tell whether events wait for deliveries to be made of them."""
    query = select(OutboxEvent.id).where(OutboxEvent.delivered_at.is_(None)).limit(1)
    found = db.session.scalar(query) is not None
    end_reading()
    return found


@repeatable()
def _pump_some() -> int:
    with transaction() as session:
        events = session.scalars(
            select(OutboxEvent)
            .where(OutboxEvent.delivered_at.is_(None))
            .order_by(OutboxEvent.id)
            .limit(EVENTS_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        if not events:
            return 0
        webhooks = session.scalars(select(Webhook).where(Webhook.is_active.is_(True))).all()
        for event in events:
            for webhook in webhooks:
                if _is_meant(webhook, event):
                    plan(delivery=_delivery(webhook, event))
        session.execute(
            update(OutboxEvent)
            .where(OutboxEvent.id.in_([event.id for event in events]))
            .values(delivered_at=utc_now())
            .execution_options(synchronize_session=False)
        )
    return len(events)


def _is_meant(webhook: Webhook, event: OutboxEvent) -> bool:
    if webhook.site_id is not None and webhook.site_id != event.site_id:
        return False
    if event.payload["target"] == {"type": "webhook", "id": webhook.public_id}:
        return False  # what is done to a webhook is told to the others
    return event.at >= webhook.created_at and wants(webhook.topics, event.topic)


def _delivery(webhook: Webhook, event: OutboxEvent) -> WebhookDelivery:
    slug = None
    if event.site_id is not None:
        slug = db.session.scalar(select(Site.slug).where(Site.id == event.site_id))
    delivery = new_delivery(
        webhook=webhook,
        event_id=str(event.payload["id"]),
        topic=event.topic,
        occurred_at=event.at,
        user_id=event.user_id,
    )
    delivery.payload = {
        "site": slug,
        "target": event.payload["target"],
        "after": event.payload["after"],
    }
    return delivery


@repeatable()
def _revive_one(delivery_id: int) -> int:
    now = utc_now()
    with transaction() as session:
        delivery = session.scalar(
            select(WebhookDelivery)
            .where(
                WebhookDelivery.id == delivery_id,
                or_(
                    WebhookDelivery.state == DeliveryState.PENDING,
                    WebhookDelivery.leased_until < now,
                ),
            )
            .with_for_update(skip_locked=True)
        )
        if delivery is None:
            return 0
        if delivery.state is DeliveryState.SENDING:
            delivery.failures += 1
        plan(delivery=delivery)
    logger.warning("delivery revived", extra={"delivery": delivery.public_id})
    return 1
