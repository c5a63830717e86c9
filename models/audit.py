"""The audit trail and the outbox: written in the transaction of the change they tell of."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.engine import Base
from models.types import UtcDateTime

_BIG_ID = BigInteger().with_variant(Integer, "sqlite")


class AuditEvent(Base):
    """Who did what to which thing.

    Append-only. `hash` is an HMAC over this row's content and the hash of the row before it.
    Holds user ids, not names, so that erasing a user does not break the chain.
    """

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(_BIG_ID, primary_key=True, autoincrement=False)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    user_id: Mapped[int | None] = mapped_column(index=True)
    via: Mapped[str] = mapped_column(String(16))
    token_id: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(255), index=True)
    site_id: Mapped[int | None] = mapped_column(index=True)
    before: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The end of the chain: how many events there are and the hash of the last one."""

    __tablename__ = "audit_heads"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(_BIG_ID)
    last_hash: Mapped[str] = mapped_column(String(64))


class OutboxEvent(Base):
    """A fact to be told to the outside: webhooks and event streams read it from here."""

    __tablename__ = "outbox_events"

    id: Mapped[int] = mapped_column(_BIG_ID, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    topic: Mapped[str] = mapped_column(String(64))
    site_id: Mapped[int | None]
    user_id: Mapped[int | None]
    payload: Mapped[dict[str, object]] = mapped_column(JSON)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
