"""Approval policies: how many people must agree, and to what."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.requests import RequestType
from models.roles import Role
from models.sites import Site
from models.types import UtcDateTime, enum_column, name_column


class DriftRule(StrEnum):
    """What makes an approval stale: also a move of the target, or of what was reviewed only."""

    STRICT = "strict"
    SOURCE_ONLY = "source_only"


class ApprovalPolicy(Base):
    """A rule for one type of request: everywhere, on one site, or in one environment.

    `key` names the place and is unique: two columns that may be NULL could not be.
    """

    __tablename__ = "approval_policies"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    type: Mapped[RequestType] = mapped_column(enum_column(RequestType))
    site_id: Mapped[int | None] = mapped_column(
        ForeignKey("sites.id", ondelete="CASCADE"), index=True
    )
    environment: Mapped[str | None] = mapped_column(name_column())
    required_approvals: Mapped[int]
    approver_role_id: Mapped[int | None] = mapped_column(
        ForeignKey("roles.id", ondelete="RESTRICT")
    )
    valid_hours: Mapped[int]
    drift: Mapped[DriftRule] = mapped_column(enum_column(DriftRule))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    site: Mapped[Site | None] = relationship(lazy="joined")
    approver_role: Mapped[Role | None] = relationship(lazy="joined")
