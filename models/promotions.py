"""Promotions, the only thing that moves a pointer, and the restore points they leave."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.environments import Environment
from models.releases import Release
from models.sites import Site
from models.types import UtcDateTime, enum_column, name_column
from models.users import User


class PromotionKind(StrEnum):
    """Why the pointer moved."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    PUBLISH = "publish"


class PromotionState(StrEnum):
    """How far a promotion has come; all but the first three are final."""

    PENDING_APPROVAL = "pending_approval"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    NEEDS_ATTENTION = "needs_attention"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class PromotionResult(StrEnum):
    """What a succeeded promotion did."""

    SWITCHED = "switched"
    UNCHANGED = "unchanged"


class Promotion(Base):
    """One move of one pointer, with its history.

    `slot` is 1 while it runs and NULL otherwise: UNIQUE(environment_id, slot) lets the database
    allow one at a time, and several NULLs, on all engines. `offline_id` marks a rollback that
    was made on disk while the database was away, so that it is imported once.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        UniqueConstraint("site_id", "number"),
        UniqueConstraint("environment_id", "slot"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    environment_id: Mapped[int | None] = mapped_column(
        ForeignKey("environments.id", ondelete="SET NULL")
    )
    number: Mapped[int]
    kind: Mapped[PromotionKind] = mapped_column(enum_column(PromotionKind))
    state: Mapped[PromotionState] = mapped_column(enum_column(PromotionState))
    phase: Mapped[str | None] = mapped_column(String(32))
    result: Mapped[PromotionResult | None] = mapped_column(enum_column(PromotionResult))
    slot: Mapped[int | None]
    from_environment: Mapped[str | None] = mapped_column(name_column())
    to_environment: Mapped[str] = mapped_column(name_column())
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id", ondelete="CASCADE"))
    previous_release_id: Mapped[int | None] = mapped_column(
        ForeignKey("releases.id", ondelete="SET NULL")
    )
    generation: Mapped[int | None]
    plan_hash: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    via: Mapped[str] = mapped_column(String(16))
    comment: Mapped[str | None] = mapped_column(String(2000))
    request_id: Mapped[int | None] = mapped_column(
        ForeignKey("change_requests.id", ondelete="SET NULL"), index=True
    )
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_detail: Mapped[str | None] = mapped_column(Text)
    timings_ms: Mapped[dict[str, float]] = mapped_column(JSON)
    offline_id: Mapped[str | None] = mapped_column(String(36), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    site: Mapped[Site] = relationship()
    environment: Mapped[Environment | None] = relationship(back_populates="promotions")
    release: Mapped[Release] = relationship(foreign_keys=[release_id])
    previous_release: Mapped[Release | None] = relationship(foreign_keys=[previous_release_id])
    user: Mapped[User | None] = relationship()
    backup: Mapped["SiteBackup | None"] = relationship(back_populates="promotion")


class SiteBackup(Base):
    """A restore point: what an environment showed before a promotion, verified and kept."""

    __tablename__ = "site_backups"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    environment_name: Mapped[str] = mapped_column(name_column())
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id", ondelete="CASCADE"))
    promotion_id: Mapped[int] = mapped_column(
        ForeignKey("promotions.id", ondelete="CASCADE"), unique=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime] = mapped_column(UtcDateTime)

    release: Mapped[Release] = relationship()
    promotion: Mapped[Promotion] = relationship(back_populates="backup")
