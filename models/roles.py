"""Roles: named sets of permissions, global or on one site."""

from datetime import datetime

from sqlalchemy import JSON, Column, ForeignKey, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.types import UtcDateTime, name_column

role_inherits = Table(
    "role_inherits",
    Base.metadata,
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("parent_id", ForeignKey("roles.id", ondelete="RESTRICT"), primary_key=True),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)


class Role(Base):
    """Permissions plus those of the inherited roles.

    `effective` is the flattened result, kept up to date by `services.roles`, so that a request
    needs no walk through the hierarchy.
    """

    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(name_column(), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(String(500), default="")
    permissions: Mapped[list[str]] = mapped_column(JSON)
    effective: Mapped[list[str]] = mapped_column(JSON)
    sees_all_sites: Mapped[bool] = mapped_column(default=False)
    requires_totp: Mapped[bool] = mapped_column(default=False)
    shipped: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    inherits: Mapped[list["Role"]] = relationship(
        secondary=role_inherits,
        primaryjoin=id == role_inherits.c.role_id,
        secondaryjoin=id == role_inherits.c.parent_id,
        order_by="Role.name",
    )
