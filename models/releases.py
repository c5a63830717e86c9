"""Releases and the uploads that brought them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.sites import Site
from models.types import UtcDateTime, enum_column
from models.users import User


class ReleaseState(StrEnum):
    """Whether the files of a release are there."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    ARCHIVED = "archived"


class Release(Base):
    """An immutable, complete set of files; `digest` is the SHA-256 of its canonical manifest.

    `latest_submission_id` orders releases: a release uploaded again is newer again.
    `unique_bytes` is what it added to the store: content that no release before it had.
    While a job unpacks it, and when that failed, the digest is a placeholder; `job_id` is the
    public id of that job. A release whose content turned out to be there already is archived and
    `same_as` the older one.
    """

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("site_id", "number"),
        UniqueConstraint("site_id", "digest"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[ReleaseState] = mapped_column(enum_column(ReleaseState))
    file_count: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    unique_bytes: Mapped[int] = mapped_column(BigInteger)
    message: Mapped[str | None] = mapped_column(String(500))
    stripped: Mapped[str | None] = mapped_column(String(255))
    pinned: Mapped[bool] = mapped_column(default=False)
    bad: Mapped[bool] = mapped_column(default=False)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    compressed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    latest_submission_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    submission_count: Mapped[int] = mapped_column(default=0)
    job_id: Mapped[str | None] = mapped_column(String(22))
    same_as_id: Mapped[int | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    site: Mapped[Site] = relationship()
    created_by: Mapped[User | None] = relationship()
    submissions: Mapped[list["Submission"]] = relationship(
        back_populates="release",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by="Submission.id.desc()",
    )


class Submission(Base):
    """One upload of a release: who, when, which commit."""

    __tablename__ = "submissions"

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[int] = mapped_column(
        ForeignKey("releases.id", ondelete="CASCADE"), index=True
    )
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    message: Mapped[str | None] = mapped_column(String(500))
    commit: Mapped[str | None] = mapped_column(String(64), index=True)
    source_url: Mapped[str | None] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    release: Mapped[Release] = relationship(back_populates="submissions")
    user: Mapped[User | None] = relationship()
