"""Requests: petitions that are reviewed, approved and carried out."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.releases import Release
from models.sites import Site
from models.tags import Tag, request_tags
from models.types import UtcDateTime, enum_column, name_column
from models.users import User


class RequestType(StrEnum):
    """What a request asks for."""

    PROMOTION = "promotion"
    DATABASE = "database"
    ACCESS = "access"
    GENERAL = "general"


class RequestState(StrEnum):
    """How far a request has come; completed, cancelled and expired are final."""

    DRAFT = "draft"
    PENDING = "pending"
    NEEDS_INFO = "needs_info"
    APPROVED = "approved"
    REJECTED = "rejected"
    STALE = "stale"
    EXECUTING = "executing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class RequestPriority(StrEnum):
    """How urgent it is; decides within which time an answer is owed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Verdict(StrEnum):
    """What a reviewer says; the post-review of an emergency says whether it was right."""

    APPROVE = "approve"
    REJECT = "reject"
    POST_REVIEW_GOOD = "post_review_good"
    POST_REVIEW_BAD = "post_review_bad"


request_assignees = Table(
    "request_assignees",
    Base.metadata,
    Column("request_id", ForeignKey("change_requests.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)


class ChangeRequest(Base):
    """One petition; its id is the number that people say.

    `facts` are what a reviewer looks at, and `fingerprint` is their hash; both belong to the
    present `revision`. `filed_with_right` says that who submitted it could have done the thing
    itself with that credential. `version` grows at each change and guards it against lost
    updates. The site's slug stays when the site is deleted: requests are history.
    """

    __tablename__ = "change_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[RequestType] = mapped_column(enum_column(RequestType), index=True)
    state: Mapped[RequestState] = mapped_column(enum_column(RequestState), index=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    priority: Mapped[RequestPriority] = mapped_column(enum_column(RequestPriority))
    emergency: Mapped[bool] = mapped_column(default=False)
    requester_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    beneficiary_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    via: Mapped[str] = mapped_column(String(16))
    site_id: Mapped[int | None] = mapped_column(
        ForeignKey("sites.id", ondelete="SET NULL"), index=True
    )
    site_slug: Mapped[str | None] = mapped_column(name_column())
    environment: Mapped[str | None] = mapped_column(name_column())
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id", ondelete="SET NULL"))
    payload: Mapped[dict[str, object]] = mapped_column(JSON)
    revision: Mapped[int] = mapped_column(default=1)
    facts: Mapped[dict[str, object]] = mapped_column(JSON)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    changed: Mapped[list[dict[str, object]] | None] = mapped_column(JSON(none_as_null=True))
    required_approvals: Mapped[int] = mapped_column(default=0)
    valid_hours: Mapped[int]
    closed_reason: Mapped[str | None] = mapped_column(String(2000))
    result: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_detail: Mapped[str | None] = mapped_column(Text)
    postponed_code: Mapped[str | None] = mapped_column(String(40))
    auto_execute: Mapped[bool] = mapped_column(default=True)
    filed_with_right: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    reminders: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scheduled_for: Mapped[datetime | None] = mapped_column(UtcDateTime)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pending_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approval_valid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    post_review_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    post_reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    requester: Mapped[User | None] = relationship(foreign_keys=[requester_id])
    beneficiary: Mapped[User | None] = relationship(foreign_keys=[beneficiary_id])
    site: Mapped[Site | None] = relationship()
    release: Mapped[Release | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=request_tags, order_by=Tag.name)
    assignees: Mapped[list[User]] = relationship(
        secondary=request_assignees, order_by=User.username
    )

    @property
    def number(self) -> int:
        """What people call the request."""
        return self.id


STANDING = 1
"""The slot of a verdict that was not withdrawn."""


class RequestReview(Base):
    """One person's verdict on one revision; a withdrawn one stays, and does not count.

    UNIQUE(request, revision, user, post_review, slot) lets the database refuse a second verdict
    that stands, also in a race; `slot` is NULL in those that were withdrawn.
    """

    __tablename__ = "request_reviews"
    __table_args__ = (
        UniqueConstraint("request_id", "revision", "user_id", "post_review", "slot"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("change_requests.id", ondelete="CASCADE"))
    revision: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    post_review: Mapped[bool] = mapped_column(default=False)
    slot: Mapped[int | None] = mapped_column(default=STANDING)
    verdict: Mapped[Verdict] = mapped_column(enum_column(Verdict))
    comment: Mapped[str | None] = mapped_column(String(2000))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship()


class RequestExecution(Base):
    """One attempt to carry a request out; UNIQUE(request, attempt) allows each once."""

    __tablename__ = "request_executions"
    __table_args__ = (UniqueConstraint("request_id", "attempt"), Base.__table_args__)

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("change_requests.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    via: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error_code: Mapped[str | None] = mapped_column(String(40))
