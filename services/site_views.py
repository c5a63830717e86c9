"""Sites as callers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.settings import current_settings
from models.engine import db
from models.sites import Site
from models.users import User
from services import hosts


@dataclass(frozen=True, kw_only=True)
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
    settings = current_settings()
    return [
        SiteView(
            slug=site.slug,
            name=site.name,
            description=site.description,
            url=settings.site_url(hosts.environment_host(slug=site.slug, environment=hosts.MAIN)),
            created_by=names.get(site.created_by_id or 0),
            created_at=site.created_at,
            updated_at=site.updated_at,
            version=site.version,
        )
        for site in sites
    ]
