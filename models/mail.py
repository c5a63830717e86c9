"""Mail on its way out."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.engine import Base
from models.types import UtcDateTime, enum_column


class MailState(StrEnum):
    """Whether a mail was handed in."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class OutgoingMail(Base):
    """One mail to one person.

    `content` holds address, subject and text, encrypted with FIELD_KEYS; it is emptied as soon
    as the mail was sent or given up, since it may hold a link that opens an account.
    """

    __tablename__ = "outgoing_mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    content: Mapped[str | None] = mapped_column(Text)
    state: Mapped[MailState] = mapped_column(enum_column(MailState), index=True)
    error: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
