"""Environments: the places a site is served from."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.releases import Release
from models.sites import Site
from models.types import UtcDateTime, name_column
from models.users import User

if TYPE_CHECKING:
    from models.promotions import Promotion


class Environment(Base):
    """A pointer to one release, with the rules for moving it.

    `generation` grows by one at each switch. `version` grows at each change of the row and
    guards it against lost updates. A lock with `locked_at` set stops promotions, a hold with
    `held_at` set stops tokens and automatic publishing.
    """

    __tablename__ = "environments"
    __table_args__ = (UniqueConstraint("site_id", "name"), Base.__table_args__)

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(name_column())
    rank: Mapped[int]
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id", ondelete="RESTRICT"))
    previous_release_id: Mapped[int | None] = mapped_column(
        ForeignKey("releases.id", ondelete="SET NULL")
    )
    generation: Mapped[int] = mapped_column(default=0)
    promoted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    promoted_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    policy: Mapped[dict[str, object]] = mapped_column(JSON)
    locked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    locked_by: Mapped[str | None] = mapped_column(name_column())
    lock_reason: Mapped[str | None] = mapped_column(String(500))
    lock_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_by: Mapped[str | None] = mapped_column(name_column())
    hold_reason: Mapped[str | None] = mapped_column(String(500))
    drift_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    site: Mapped[Site] = relationship()
    release: Mapped[Release | None] = relationship(foreign_keys=[release_id])
    previous_release: Mapped[Release | None] = relationship(foreign_keys=[previous_release_id])
    promoted_by: Mapped[User | None] = relationship()
    domains: Mapped[list["Domain"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="Domain.host"
    )
    promotions: Mapped[list["Promotion"]] = relationship(
        back_populates="environment", viewonly=True
    )


class Domain(Base):
    """A host of its own at which one environment is served; unique over all sites."""

    __tablename__ = "domains"

    id: Mapped[int] = mapped_column(primary_key=True)
    environment_id: Mapped[int] = mapped_column(
        ForeignKey("environments.id", ondelete="CASCADE"), index=True
    )
    host: Mapped[str] = mapped_column(String(253), unique=True)
