"""API tokens for CI and scripts."""

from datetime import datetime

from sqlalchemy import JSON, Column, ForeignKey, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.sites import Site
from models.types import UtcDateTime
from models.users import User

token_sites = Table(
    "token_sites",
    Base.metadata,
    Column("token_id", ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("site_id", ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)


class ApiToken(Base):
    """A credential with a part of its owner's rights; the token itself is kept as a hash.

    `site_limited` says that only `sites` count, so that a token whose last site was deleted
    reaches nothing instead of everything. `environments` and `cidrs` are None when unlimited.
    `warned_days` is the last warning that was given, in days before the token expires.
    """

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    prefix: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    preset: Mapped[str | None] = mapped_column(String(16))
    site_limited: Mapped[bool] = mapped_column(default=False)
    environments: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    cidrs: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    rotated_from_id: Mapped[int | None] = mapped_column(
        ForeignKey("api_tokens.id", ondelete="SET NULL")
    )
    warned_days: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_address: Mapped[str | None] = mapped_column(String(45))
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship()
    sites: Mapped[list[Site]] = relationship(secondary=token_sites, order_by="Site.slug")
