"""Long work: jobs with their log, and the timetable of what is done every so often."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.sites import Site
from models.types import UtcDateTime, enum_column
from models.users import User

Json = dict[str, Any]  # Any: values of every JSON type


class JobState(StrEnum):
    """Where a job is; the last three are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Job(Base):
    """One piece of work that a worker does; this row is the truth, messages are only bells.

    `key` is unique while the job has not ended, then null. `fence` grows with every claim: who
    works under an older one can write nothing. `via`, `token_id`, `session_id`, `address` and
    `request_id` tell who asked; the rights are looked up again when the work is done.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_queue_run_at", "state", "queue", "run_at"),
        Index("ix_jobs_state_lease_until", "state", "lease_until"),
        Index("ix_jobs_finished_at", "finished_at"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    kind: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(32))
    state: Mapped[JobState] = mapped_column(enum_column(JobState))
    payload: Mapped[Json] = mapped_column(JSON)
    key: Mapped[str | None] = mapped_column(String(200), unique=True)

    site_id: Mapped[int | None] = mapped_column(
        ForeignKey("sites.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    via: Mapped[str] = mapped_column(String(16))
    token_id: Mapped[int | None]
    session_id: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))

    progress_done: Mapped[int] = mapped_column(BigInteger, default=0)
    progress_total: Mapped[int | None] = mapped_column(BigInteger)
    progress_unit: Mapped[str | None] = mapped_column(String(32))

    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    run_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)

    result: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(String(1000))
    error_members: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    log_count: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    site: Mapped[Site | None] = relationship()
    user: Mapped[User | None] = relationship()

    @property
    def has_ended(self) -> bool:
        """True when nothing will happen any more by itself."""
        return self.state in ENDED


class JobLogLine(Base):
    """One line that a job wrote; old ones make room for new ones."""

    __tablename__ = "job_log_lines"
    __table_args__ = (UniqueConstraint("job_id", "number"), Base.__table_args__)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    message: Mapped[str] = mapped_column(String(500))


class Schedule(Base):
    """When a chore is due next; whoever moves `due_at` on does it."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    every_seconds: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
