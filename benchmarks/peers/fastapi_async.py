"""FastAPI with SQLAlchemy's ORM on asyncio."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

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

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
}

app = FastAPI()
_url = make_url(DATABASE_URL)
_engine = create_async_engine(_url.set(drivername=DRIVERS[_url.get_backend_name()]), pool_size=10)
sessions = async_sessionmaker(_engine)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


async def user(
    opened: Annotated[AsyncSession, Depends(session)],
    user_id: Annotated[int, Depends(user_id_of)],
) -> User:
    return allowed(await opened.get(User, user_id))


@app.get("/api/v1/sites", response_model=SitesOut)
async def sites(
    opened: Annotated[AsyncSession, Depends(session)],
    _user: Annotated[User, Depends(user)],
    page: int = 1,
) -> Any:
    rows = (await opened.scalars(page_query(page))).all()
    return {"items": rows, "meta": meta(page, await opened.scalar(COUNT) or 0)}


@app.get("/api/v1/sites/{slug}", response_model=SiteOut)
async def one_site(
    slug: str,
    opened: Annotated[AsyncSession, Depends(session)],
    _user: Annotated[User, Depends(user)],
) -> Any:
    return found(await opened.scalar(select(Site).where(Site.slug == slug)))
