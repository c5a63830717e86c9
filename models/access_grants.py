"""Roles on sites for a time, granted by approved requests."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.engine import Base
from models.requests import ChangeRequest
from models.roles import Role
from models.sites import Site
from models.types import UtcDateTime
from models.users import User


class AccessGrant(Base):
    """A site role of one user until `expires_at`; once for each request.

    Who asks for rights compares the time itself; `revoked_at` only tells when the clock saw it.
    """

    __tablename__ = "access_grants"

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(
        ForeignKey("change_requests.id", ondelete="CASCADE"), unique=True
    )
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role_id: Mapped[int | None] = mapped_column(ForeignKey("roles.id", ondelete="SET NULL"))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    request: Mapped[ChangeRequest] = relationship()
    site: Mapped[Site] = relationship()
    user: Mapped[User] = relationship()
    role: Mapped[Role | None] = relationship(lazy="joined")
