"""Sites and who belongs to them."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.roles import Role
from models.types import UtcDateTime, name_column
from models.users import User


class Site(Base):
    """Something published under a slug.

    The two counters hand out the numbers of releases and promotions within the site.
    """

    __tablename__ = "sites"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(name_column(), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(String(2000), default="")
    last_release_number: Mapped[int] = mapped_column(default=0)
    last_promotion_number: Mapped[int] = mapped_column(default=0)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    created_by: Mapped[User | None] = relationship()


class Membership(Base):
    """One user's role on one site."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("site_id", "user_id"), Base.__table_args__)

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id", ondelete="RESTRICT"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    site: Mapped[Site] = relationship()
    user: Mapped[User] = relationship()
    role: Mapped[Role] = relationship(lazy="joined", innerjoin=True)
