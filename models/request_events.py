"""What happened to requests and what people said about them."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.types import UtcDateTime
from models.users import User

_BIG_ID = BigInteger().with_variant(Integer, "sqlite")


class RequestEvent(Base):
    """One entry of the timeline; append-only."""

    __tablename__ = "request_events"

    id: Mapped[int] = mapped_column(_BIG_ID, primary_key=True)
    request_id: Mapped[int] = mapped_column(
        ForeignKey("change_requests.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    kind: Mapped[str] = mapped_column(String(32), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    via: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int]
    from_state: Mapped[str | None] = mapped_column(String(32))
    to_state: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[dict[str, object]] = mapped_column(JSON)
    comment_id: Mapped[int | None] = mapped_column(
        ForeignKey("request_comments.id", ondelete="CASCADE")
    )

    user: Mapped[User | None] = relationship()
    comment: Mapped["RequestComment | None"] = relationship()


class RequestComment(Base):
    """What somebody says about a request; earlier wordings are kept."""

    __tablename__ = "request_comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    request_id: Mapped[int] = mapped_column(
        ForeignKey("change_requests.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    body: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    user: Mapped[User | None] = relationship()
    wordings: Mapped[list["CommentWording"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="CommentWording.id"
    )


class CommentWording(Base):
    """How a comment read before it was changed."""

    __tablename__ = "request_comment_wordings"

    id: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[int] = mapped_column(
        ForeignKey("request_comments.id", ondelete="CASCADE"), index=True
    )
    body: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
