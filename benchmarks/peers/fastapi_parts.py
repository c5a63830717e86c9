"""What the two FastAPI applications share: tables, answers and the reading of tokens."""

from datetime import datetime
from typing import Annotated

import jwt
from fastapi import Header, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, Select, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from benchmarks.peers.settings import KEY, PER_PAGE, SITES_DOMAIN


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    is_active: Mapped[bool]


class Site(Base):
    __tablename__ = "sites"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    maker: Mapped[User | None] = relationship(lazy="joined")

    @property
    def url(self) -> str:
        return f"http://{self.slug}.{SITES_DOMAIN}/"

    @property
    def created_by(self) -> str | None:
        return self.maker.username if self.maker else None


class SiteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    slug: str
    name: str
    description: str
    url: str
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class Meta(BaseModel):
    page: int
    per_page: int
    total: int
    next: int | None


class SitesOut(BaseModel):
    items: list[SiteOut]
    meta: Meta


COUNT = select(func.count()).select_from(Site)


def user_id_of(authorization: Annotated[str, Header()]) -> int:
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    return int(claims["sub"])


def page_query(page: int) -> Select[Site]:
    query = select(Site).order_by(Site.created_at.desc(), Site.id.desc())
    return query.limit(PER_PAGE).offset((page - 1) * PER_PAGE)


def meta(page: int, total: int) -> Meta:
    following = page + 1 if page * PER_PAGE < total else None
    return Meta(page=page, per_page=PER_PAGE, total=total, next=following)


def allowed(user: User | None) -> User:
    if user is None or not user.is_active:
        raise HTTPException(401)
    return user


def found(site: Site | None) -> Site:
    if site is None:
        raise HTTPException(404)
    return site
