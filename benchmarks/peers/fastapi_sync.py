"""FastAPI with SQLAlchemy's ORM in threads."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.fastapi_parts import (
    COUNT,
    Site,
    SiteOut,
    SitesOut,
    User,
    allowed,
    found,
    meta,
    page_query,
    user_id_of,
)
from benchmarks.peers.settings import DATABASE_URL

app = FastAPI()
sessions = sessionmaker(create_engine(DATABASE_URL, pool_size=10))


def session() -> Iterator[Session]:
    with sessions() as opened:
        yield opened


def user(
    opened: Annotated[Session, Depends(session)], user_id: Annotated[int, Depends(user_id_of)]
) -> User:
    return allowed(opened.get(User, user_id))


@app.get("/api/v1/sites", response_model=SitesOut)
def sites(
    opened: Annotated[Session, Depends(session)],
    _user: Annotated[User, Depends(user)],
    page: int = 1,
) -> Any:
    rows = opened.scalars(page_query(page)).all()
    return {"items": rows, "meta": meta(page, opened.scalar(COUNT) or 0)}


@app.get("/api/v1/sites/{slug}", response_model=SiteOut)
def one_site(
    slug: str,
    opened: Annotated[Session, Depends(session)],
    _user: Annotated[User, Depends(user)],
) -> Any:
    return found(opened.scalar(select(Site).where(Site.slug == slug)))
