"""Webhooks in one line, events for them, and the worker that delivers."""

from typing import Any

from sqlalchemy import select

from models.engine import db
from models.webhooks import DeliveryState, Webhook, WebhookDelivery
from services import audit, webhook_pump, webhooks
from services.audit import Target
from services.transaction import end_reading
from services.webhooks import NewSecret
from tests.factories import OPERATOR, last_event
from tests.working import work_off


def make_hook(url: str, *topics: str, **options: Any) -> NewSecret:
    """Make a webhook for everything about sites, or for some topics."""
    return webhooks.create_webhook(actor=OPERATOR, url=url, topics=topics or ("*",), **options)


def happen(action: str = "promotion.succeeded", *, site_id: int | None = None, **after: Any) -> str:
    """Let something happen that webhooks may be told of; returns the id of the event."""
    target = Target(type="promotion", id="12", site_id=site_id)
    audit.record(actor=OPERATOR, action=action, target=target, after=after)
    return last_event().public_id


def pump_and_work() -> int:
    """Make deliveries of what happened, and do every job that is due."""
    webhook_pump.pump()
    return work_off()


def deliveries(webhook: Webhook | None = None) -> list[WebhookDelivery]:
    """Return deliveries as the database has them now, oldest first."""
    end_reading()
    query = select(WebhookDelivery).order_by(WebhookDelivery.id)
    if webhook is not None:
        query = query.where(WebhookDelivery.webhook_id == webhook.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def states(webhook: Webhook | None = None) -> list[DeliveryState]:
    """Return where deliveries are."""
    return [row.state for row in deliveries(webhook)]


def hook(webhook: Webhook) -> Webhook:
    """Return a webhook as the database has it now."""
    end_reading()
    query = select(Webhook).where(Webhook.id == webhook.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()
