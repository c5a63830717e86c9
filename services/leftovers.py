"""Files that no row speaks of: what a crash between a row and its files leaves behind.

They do no harm and may be wanted: after the database was restored from an older copy they are
the newer releases. So they go only when they have lain there for a while.
"""

import logging
import time
from collections.abc import Iterator

from sqlalchemy import select

from core.errors import ConflictError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.releases import Release, ReleaseState
from models.sites import Site
from services import switching
from services.transaction import end_reading
from storage.errors import ReleaseInUseError, ReleaseMissingError
from storage.locks import LockBusyError, file_lock, release_lock_path

logger = logging.getLogger("relevo.leftovers")


def sweep(*, older_than_seconds: float) -> int:
    """Remove folders of sites, pointers and releases that the database does not know.

    What somebody works on is left for the next time.

    Returns:
        how many things were removed.
    """
    layout = site_store().layout
    removed = 0
    for slug in layout.slugs():
        try:
            with file_lock(release_lock_path(layout.root, slug), wait_seconds=0):
                removed += _sweep_site(slug, time.time() - older_than_seconds)
        except LockBusyError:
            continue
    if removed:
        logger.warning("leftovers removed", extra={"count": removed})
    return removed


def _sweep_site(slug: str, newest: float) -> int:
    store = site_store()
    if _site_id(slug) is None:
        if store.layout.site(slug).lstat().st_ctime > newest:
            return 0
        store.remove_site(slug)
        return 1
    removed = sum(_remove_pointer(slug, name) for name in list(_old_pointers(slug, newest)))
    for digest in store.releases(slug):
        path = store.layout.release(slug, digest)
        if path.lstat().st_ctime <= newest and digest not in _ready(slug):
            removed += _remove_release(slug, digest)
    return removed


def _old_pointers(slug: str, newest: float) -> Iterator[str]:
    layout = site_store().layout
    for path in layout.site(slug).iterdir():
        if path.is_symlink() and path.lstat().st_ctime <= newest:
            yield path.name


def _remove_pointer(slug: str, name: str) -> int:
    """Remove the pointer of an environment that was deleted."""
    try:
        with switching.environment_turn(slug=slug, environment=name):
            query = select(Environment.id).join(Environment.site)
            known = db.session.scalar(query.where(Site.slug == slug, Environment.name == name))
            end_reading()
            if known is not None:
                return 0
            site_store().remove_environment(slug, name)
    except (ConflictError, ValueError):
        return 0
    return 1


def _remove_release(slug: str, digest: str) -> int:
    try:
        site_store().delete_release(slug, digest)
    except (ReleaseInUseError, ReleaseMissingError):
        return 0
    return 1


def _site_id(slug: str) -> int | None:
    site_id = db.session.scalar(select(Site.id).where(Site.slug == slug))
    end_reading()
    return site_id


def _ready(slug: str) -> set[str]:
    digests = db.session.scalars(
        select(Release.digest)
        .join(Release.site)
        .where(Site.slug == slug, Release.state == ReleaseState.READY)
    )
    found = set(digests)
    end_reading()
    return found
