"""Restore points: what environments showed before each promotion."""

from sqlalchemy import select

from core.errors import NotFoundError
from models.engine import db
from models.promotions import SiteBackup
from services import access
from services.actors import Actor
from services.paging import Page, PageRequest, paginate

SORTABLE = {"at": SiteBackup.at}


def list_backups(
    *, actor: Actor, slug: str, page: PageRequest, environment: str | None = None
) -> Page[SiteBackup]:
    """Return the restore points of a site, of one environment if named."""
    site = access.find_site(actor=actor, slug=slug)
    query = select(SiteBackup).where(SiteBackup.site_id == site.id)
    if environment is not None:
        query = query.where(SiteBackup.environment_name == environment)
    return paginate(query, page, sortable=SORTABLE, default="-at", tiebreak=SiteBackup.id)


def get_backup(*, actor: Actor, slug: str, backup_id: str) -> SiteBackup:
    """Return one restore point.

    Raises:
        NotFoundError: site or backup do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    backup = db.session.scalar(
        select(SiteBackup).where(SiteBackup.site_id == site.id, SiteBackup.public_id == backup_id)
    )
    if backup is None:
        raise NotFoundError("The site has no such backup.")
    return backup
