"""Answers kept for repeated calls with the same Idempotency-Key."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.engine import Base
from models.types import UtcDateTime, enum_column


class IdempotencyState(StrEnum):
    """Whether the first call has ended."""

    RUNNING = "running"
    DONE = "done"


class IdempotencyKey(Base):
    """One key of one actor for one method and path; `body` is encrypted."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("actor_key", "method", "path", "key"), Base.__table_args__)

    id: Mapped[int] = mapped_column(primary_key=True)
    actor_key: Mapped[str] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(String(255))
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    state: Mapped[IdempotencyState] = mapped_column(enum_column(IdempotencyState))
    status: Mapped[int | None]
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary(16 * 1024 * 1024))
    owner: Mapped[str] = mapped_column(String(22))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
