"""Sites as callers see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.settings import current_settings
from models.engine import db
from models.sites import Site
from models.users import User
from services import hosts


@dataclass(kw_only=True, slots=True)
class SiteView:
    """One site; `url` is that of main."""

    slug: str
    name: str
    description: str
    url: str
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    version: int


def describe(*, sites: Sequence[Site]) -> list[SiteView]:
    """Return the views of `sites`."""
    makers = [site.created_by_id for site in sites if site.created_by_id]
    rows = db.session.execute(select(User.id, User.username).where(User.id.in_(makers)))
    names = dict(rows.all())
    url_of = url_maker()
    return [
        SiteView(
            slug=site.slug,
            name=site.name,
            description=site.description,
            url=url_of(site.slug),
            created_by=names.get(site.created_by_id or 0),
            created_at=site.created_at,
            updated_at=site.updated_at,
            version=site.version,
        )
        for site in sites
    ]


def url_maker() -> Callable[[str], str]:
    """Return a function that gives the address of main for a slug."""
    place = "SLUG"  # no slug has capital letters, and no address of ours
    host = hosts.environment_host(slug=place, environment=hosts.MAIN)
    before, _, after = current_settings().site_url(host).partition(place)
    return lambda slug: f"{before}{slug}{after}"
