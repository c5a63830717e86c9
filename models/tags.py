"""Tags: words that requests are sorted by."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import Mapped, mapped_column

from models.engine import Base
from models.types import UtcDateTime, name_column

request_tags = Table(
    "request_tags",
    Base.metadata,
    Column("request_id", ForeignKey("change_requests.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)


class Tag(Base):
    """A word, perhaps of a scope: of `size/small` and `size/large` a request has one at most."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(name_column(), unique=True)
    colour: Mapped[str] = mapped_column(String(7))
    description: Mapped[str] = mapped_column(String(500), default="")
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def scope(self) -> str | None:
        """What stands before the slash, or None."""
        scope, slash, _ = self.name.partition("/")
        return scope if slash else None
