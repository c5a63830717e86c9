"""The log of a webhook: what was sent, what came of it, and sending it once more."""

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, NotFoundError
from core.ids import new_public_id
from models.engine import db
from models.webhooks import DeliveryState, Webhook, WebhookDelivery
from services.actors import Actor
from services.audit import record
from services.paging import CursorPage, CursorRequest, cursor_page
from services.transaction import transaction
from services.webhook_queue import new_delivery, plan
from services.webhook_topics import TEST_TOPIC
from services.webhooks import audit_target, find_webhook


def list_deliveries(
    *, actor: Actor, public_id: str, page: CursorRequest, state: DeliveryState | None = None
) -> CursorPage[WebhookDelivery]:
    """Return the deliveries of a webhook, the newest first.

    Raises:
        NotFoundError: there is no such webhook, or the actor may not know of it.
    """
    webhook = find_webhook(actor=actor, public_id=public_id)
    query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook.id)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    query = query.options(selectinload(WebhookDelivery.attempts))
    return cursor_page(query, page, key=WebhookDelivery.id)


def get_delivery(*, actor: Actor, public_id: str, delivery: str) -> WebhookDelivery:
    """Return one delivery of a webhook.

    Raises:
        NotFoundError: there is no such webhook or delivery, or the actor may not know of it.
    """
    return _find(find_webhook(actor=actor, public_id=public_id), delivery)


def redeliver(*, actor: Actor, public_id: str, delivery: str) -> WebhookDelivery:
    """Send something once more, now, with the same webhook-id; later tries follow if it fails.

    What is being sent at this moment is left alone.

    Raises:
        NotFoundError: there is no such webhook or delivery, or the actor may not know of it.
        ConflictError: the webhook is switched off.
    """
    with transaction():
        webhook = find_webhook(actor=actor, public_id=public_id)
        row = _find(webhook, delivery, lock=True)
        if not webhook.is_active and row.topic != TEST_TOPIC:
            raise ConflictError("The webhook is switched off.", code=ErrorCode.WEBHOOK_INACTIVE)
        if row.state is not DeliveryState.SENDING:
            row.failures, row.planned_at = 0, utc_now()
            plan(delivery=row)
        after = {"delivery": row.public_id, "topic": row.topic}
        record(actor=actor, action="webhook.redelivered", target=audit_target(webhook), after=after)
    return row


def send_test(*, actor: Actor, public_id: str) -> WebhookDelivery:
    """Send an event of the type `webhook.test`, once, even to a webhook that is switched off.

    Raises:
        NotFoundError: there is no such webhook, or the actor may not know of it.
    """
    with transaction():
        webhook = find_webhook(actor=actor, public_id=public_id)
        row = new_delivery(
            webhook=webhook,
            event_id=new_public_id(),
            topic=TEST_TOPIC,
            occurred_at=utc_now(),
            user_id=actor.user_id,
        )
        row.payload = {
            "site": webhook.site.slug if webhook.site else None,
            "target": {"type": "webhook", "id": webhook.public_id},
            "after": None,
        }
        plan(delivery=row)
        record(actor=actor, action="webhook.tested", target=audit_target(webhook))
    return row


def _find(webhook: Webhook, public_id: str, *, lock: bool = False) -> WebhookDelivery:
    query = select(WebhookDelivery).where(
        WebhookDelivery.webhook_id == webhook.id, WebhookDelivery.public_id == public_id
    )
    row = db.session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFoundError("The webhook has no such delivery.")
    return row
