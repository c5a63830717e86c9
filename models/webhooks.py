"""Webhooks, what was told to them, and how their targets behave."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.sites import Site
from models.types import UtcDateTime, enum_column
from models.users import User

TARGET_LENGTH = 260
ANSWER_LENGTH = 1024


class DisabledReason(StrEnum):
    """Why a webhook was switched off by itself."""

    GONE = "gone"
    FAILING = "failing"


class DeliveryState(StrEnum):
    """Where a delivery is; the last three are its end."""

    PENDING = "pending"
    SENDING = "sending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Webhook(Base):
    """An address that is told of events; it belongs to a site, or to the installation.

    The secrets are encrypted with FIELD_KEYS; the previous one signs too until its time is over.
    `target` is the host and port of the address. `failing_since` is when the first call failed
    after the last one that succeeded.
    """

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    site_id: Mapped[int | None] = mapped_column(
        ForeignKey("sites.id", ondelete="CASCADE"), index=True
    )
    url: Mapped[str] = mapped_column(String(2000))
    target: Mapped[str] = mapped_column(String(TARGET_LENGTH), index=True)
    topics: Mapped[list[str]] = mapped_column(JSON)
    description: Mapped[str] = mapped_column(String(500))
    is_active: Mapped[bool]
    disabled_reason: Mapped[DisabledReason | None] = mapped_column(enum_column(DisabledReason))
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    secret: Mapped[str] = mapped_column(String(255))
    previous_secret: Mapped[str | None] = mapped_column(String(255))
    previous_secret_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    site: Mapped[Site | None] = relationship()
    created_by: Mapped[User | None] = relationship()


class WebhookDelivery(Base):
    """One event for one webhook, until it is taken or given up.

    `turn` grows each time the next call is planned: a job that was planned for an earlier turn
    does nothing. `failures` counts the calls that failed since `planned_at`, when the delivery
    was made or somebody asked for it again.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_webhook_deliveries_state_due_at", "state", "due_at"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(String(22))
    topic: Mapped[str] = mapped_column(String(64))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[int | None]
    payload: Mapped[dict[str, object]] = mapped_column(JSON)
    state: Mapped[DeliveryState] = mapped_column(enum_column(DeliveryState))
    failures: Mapped[int] = mapped_column(default=0)
    turn: Mapped[int] = mapped_column(default=0)
    planned_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    webhook: Mapped[Webhook] = relationship()
    attempts: Mapped[list["WebhookAttempt"]] = relationship(
        order_by="WebhookAttempt.id", passive_deletes=True
    )


class WebhookAttempt(Base):
    """One call: when, how long, and what came of it."""

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration_ms: Mapped[int]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(32))
    answer: Mapped[str] = mapped_column(String(ANSWER_LENGTH), default="")


class WebhookTarget(Base):
    """How a host and port behaved lately, over all webhooks that call it.

    `failures` counts since the last success. After some in a row the target is left alone until
    `open_until`, longer each time (`trips`); then one call at a time tries it, `probe_until`.
    """

    __tablename__ = "webhook_targets"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(TARGET_LENGTH), unique=True)
    failures: Mapped[int] = mapped_column(default=0)
    trips: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    probe_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
