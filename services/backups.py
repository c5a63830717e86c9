"""Restore points: what environments showed before each promotion."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from core.errors import NotFoundError
from models.engine import db
from models.promotions import SiteBackup
from services import access
from services.actors import Actor
from services.paging import Page, PageRequest, paginate

SORTABLE = {"at": SiteBackup.at}


@dataclass(frozen=True, kw_only=True)
class BackupView:
    """One restore point; release and promotion by number."""

    id: str
    at: datetime
    environment: str
    release: int
    verified_at: datetime
    promotion: int


def list_backups(
    *, actor: Actor, slug: str, page: PageRequest, environment: str | None = None
) -> Page[BackupView]:
    """Return the restore points of a site, of one environment if named."""
    site = access.find_site(actor=actor, slug=slug)
    query = select(SiteBackup).where(SiteBackup.site_id == site.id)
    if environment is not None:
        query = query.where(SiteBackup.environment_name == environment)
    query = query.options(joinedload(SiteBackup.release), joinedload(SiteBackup.promotion))
    found = paginate(query, page, sortable=SORTABLE, default="-at", tiebreak=SiteBackup.id)
    return found.with_items([_view(backup) for backup in found.items])


def get_backup(*, actor: Actor, slug: str, backup_id: str) -> BackupView:
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
    return _view(backup)


def _view(backup: SiteBackup) -> BackupView:
    return BackupView(
        id=backup.public_id,
        at=backup.at,
        environment=backup.environment_name,
        release=backup.release.number,
        verified_at=backup.verified_at,
        promotion=backup.promotion.number,
    )
