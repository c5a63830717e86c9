"""Carry out one delivery: claim it, call the target, write down what came of it.

The call happens outside of any transaction. Of several copies of a job one claims the turn; the
others find it taken and do nothing.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sqlalchemy import select, update

from core.clock import monotonic, utc_now
from core.outbound import OutboundError
from core.outbound_http import LIMITS, Answer, post
from models.engine import db
from models.webhooks import (
    ANSWER_LENGTH,
    DeliveryState,
    DisabledReason,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)
from services import webhook_targets
from services.job_runs import JobRun
from services.outbound import webhook_guard
from services.transaction import changed_rows, end_reading, repeatable, transaction
from services.webhook_disabling import disable
from services.webhook_messages import body_of, headers_of
from services.webhook_queue import next_try, plan
from services.webhook_topics import TEST_TOPIC

logger = logging.getLogger("relevo.webhooks")

LEASE = timedelta(seconds=60)
GIVE_UP_AFTER = timedelta(days=3)
GONE = 410
TOO_MANY = 429


@dataclass(frozen=True, kw_only=True)
class Call:
    """A claimed delivery, with everything that the call needs."""

    delivery_id: int
    turn: int
    target: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call."""

    at: datetime
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_reachable(self) -> bool:
        """True when the target works, even if it does not like this webhook."""
        return self.status is not None and self.status < 500 and self.status != TOO_MANY


def run_job(job: JobRun) -> dict[str, Any]:
    """Try the delivery that a job is about."""
    return deliver(public_id=job.payload["delivery"], turn=job.payload["turn"])


def deliver(*, public_id: str, turn: int) -> dict[str, Any]:
    """Try a delivery once, if this is still its turn."""
    target = db.session.scalar(
        select(Webhook.target)
        .join(WebhookDelivery, WebhookDelivery.webhook_id == Webhook.id)
        .where(WebhookDelivery.public_id == public_id)
    )
    end_reading()
    if target is None:
        return {"called": False}
    webhook_targets.ensure(name=target)
    call = _claim(public_id, turn)
    if call is None:
        return {"called": False}
    outcome = _carry_out(call)
    _settle(call, outcome)
    logger.info(
        "webhook called",
        extra={
            "delivery": public_id,
            "target": call.target,
            "status": outcome.status,
            "error": outcome.error,
            "duration_ms": outcome.duration_ms,
        },
    )
    return {"called": True, "status": outcome.status, "error": outcome.error}


@repeatable()
def _claim(public_id: str, turn: int) -> Call | None:
    """Take the turn, or put the delivery off or down; None when nothing is to be called now."""
    with transaction() as session:
        row = session.execute(
            select(WebhookDelivery, Webhook)
            .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
            .where(
                WebhookDelivery.public_id == public_id,
                WebhookDelivery.turn == turn,
                WebhookDelivery.state == DeliveryState.PENDING,
            )
        ).one_or_none()
        if row is None:
            return None
        delivery, webhook = row.WebhookDelivery, row.Webhook
        end = _pointless(delivery, webhook)
        if end is not None:
            delivery.state, delivery.finished_at = end, utc_now()
            return None
        later = webhook_targets.ask(name=webhook.target)
        if not _take(delivery, turn):
            return None
        if later is not None:
            session.refresh(delivery)
            plan(delivery=delivery, at=later)
            return None
        body = body_of(delivery=delivery)
        return Call(
            delivery_id=delivery.id,
            turn=turn,
            target=webhook.target,
            url=webhook.url,
            headers=headers_of(webhook=webhook, delivery=delivery, body=body),
            body=body,
        )


def _pointless(delivery: WebhookDelivery, webhook: Webhook) -> DeliveryState | None:
    """Return how a delivery ends that need not be tried, or None for one that must be."""
    if not webhook.is_active and delivery.topic != TEST_TOPIC:
        return DeliveryState.CANCELLED
    is_old = utc_now() - delivery.planned_at > GIVE_UP_AFTER
    return DeliveryState.FAILED if is_old else None


def _take(delivery: WebhookDelivery, turn: int) -> bool:
    statement = (
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == delivery.id,
            WebhookDelivery.turn == turn,
            WebhookDelivery.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.SENDING, leased_until=utc_now() + LEASE)
        .execution_options(synchronize_session=False)
    )
    return changed_rows(statement) == 1


def _carry_out(call: Call) -> Outcome:
    at, started = utc_now(), monotonic()
    try:
        answer = post(guard=webhook_guard(), url=call.url, headers=call.headers, body=call.body)
    except OutboundError as error:
        return Outcome(at=at, duration_ms=_since(started), error=error.failure.value)
    return Outcome(
        at=at,
        duration_ms=_since(started),
        status=answer.status,
        error=_error(answer.status),
        answer=_text(answer.body),
        retry_after_seconds=_retry_after(answer),
    )


@repeatable()
def _settle(call: Call, outcome: Outcome) -> None:
    with transaction() as session:
        webhook_targets.note(name=call.target, is_reachable=outcome.is_reachable)
        delivery = session.scalar(
            select(WebhookDelivery)
            .where(
                WebhookDelivery.id == call.delivery_id,
                WebhookDelivery.turn == call.turn,
                WebhookDelivery.state == DeliveryState.SENDING,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if delivery is None:
            return  # deleted, or revived because this took too long
        session.add(_attempt(delivery, outcome))
        webhook = session.get_one(Webhook, delivery.webhook_id)
        if outcome.error is None:
            delivery.state, delivery.finished_at = DeliveryState.SUCCEEDED, utc_now()
            webhook.failing_since = None
        else:
            _note_failure(delivery, webhook, outcome)


def _note_failure(delivery: WebhookDelivery, webhook: Webhook, outcome: Outcome) -> None:
    delivery.failures += 1
    later = next_try(failures=delivery.failures, retry_after_seconds=outcome.retry_after_seconds)
    is_test = delivery.topic == TEST_TOPIC
    if later is not None and not is_test and outcome.status != GONE:
        plan(delivery=delivery, at=later)
    else:
        delivery.state, delivery.finished_at = DeliveryState.FAILED, utc_now()
    if is_test:
        return
    webhook.failing_since = webhook.failing_since or outcome.at
    if outcome.status == GONE:
        disable(webhook=webhook, reason=DisabledReason.GONE)
    elif later is None and outcome.at - webhook.failing_since > GIVE_UP_AFTER:
        disable(webhook=webhook, reason=DisabledReason.FAILING)


def _attempt(delivery: WebhookDelivery, outcome: Outcome) -> WebhookAttempt:
    return WebhookAttempt(
        delivery_id=delivery.id,
        at=outcome.at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        error=outcome.error,
        answer=outcome.answer,
    )


def _error(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return "redirect" if 300 <= status < 400 else "http_error"


def _text(body: bytes) -> str:
    """Return the beginning of an answer as text that every engine stores and a page can show."""
    text = body[: LIMITS.answer_bytes].decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)[
        :ANSWER_LENGTH
    ]


def _retry_after(answer: Answer) -> float | None:
    value = (answer.retry_after or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment - utc_now()).total_seconds())
    except (TypeError, ValueError):
        return None


def _since(started: float) -> int:
    return round((monotonic() - started) * 1000)
