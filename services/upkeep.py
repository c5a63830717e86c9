"""What the worker does while nobody waits: compress, scrub, sweep and forget."""

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Select, delete, func, or_, select, update

from core.clock import utc_now
from core.clockwork import is_stopping
from core.extensions import site_store
from models.audit import OutboxEvent
from models.engine import db
from models.event_tickets import EventTicket
from models.idempotency import IdempotencyKey
from models.releases import Release, ReleaseState
from models.sessions import LoginAttempt, RefreshToken, UserSession
from models.sites import Site
from services import drift, leftovers
from services.events import EVENTS_KEPT_DAYS
from services.storage_errors import translated_storage_errors
from services.transaction import changed_rows, end_reading, transaction

logger = logging.getLogger("relevo.upkeep")

IDEMPOTENCY_HOURS = 24
SCRUB_EVERY_DAYS = 7
BLOB_GRACE_HOURS = 24
FORGET_AFTER_DAYS = 30


def compress_all() -> None:
    """Compress until nothing is left, or until the worker is to end."""
    while not is_stopping() and compress_next(should_stop=is_stopping):
        pass


def needs_compression() -> bool:
    """Tell whether a release lacks its variants."""
    waiting = select(Release.id).where(
        Release.state == ReleaseState.READY, Release.compressed_at.is_(None)
    )
    found = db.session.scalar(waiting.limit(1))
    end_reading()
    return found is not None


def compress_next(*, should_stop: Callable[[], bool]) -> bool:
    """Make the compressed variants of the newest release that has none yet.

    Returns:
        False when there is nothing left to do.
    """
    row = db.session.execute(
        select(Release.id, Release.digest, Site.slug)
        .join(Release.site)
        .where(Release.state == ReleaseState.READY, Release.compressed_at.is_(None))
        .order_by(Release.id.desc())
        .limit(1)
    ).first()
    end_reading()
    if row is None:
        return False
    with translated_storage_errors():
        count = site_store().compress(row.slug, row.digest, should_stop)
    if should_stop():
        return True
    with transaction() as session:
        session.execute(update(Release).where(Release.id == row.id).values(compressed_at=utc_now()))
    logger.info("release compressed", extra={"site": row.slug, "variants": count})
    return True


def scrub_next() -> bool:
    """Read and hash the release whose verification is the oldest, and one of the damaged.

    A damaged one may have been healed by an upload of the same content to another site.

    Returns:
        False when none is damaged and all were verified within SCRUB_EVERY_DAYS.
    """
    ready = select(Release.id).where(Release.state == ReleaseState.READY).limit(1)
    due = utc_now() - timedelta(days=SCRUB_EVERY_DAYS)
    queries = (
        ready.where(Release.verified_at < due).order_by(Release.verified_at),
        ready.where(Release.verified_at.is_(None)).order_by(func.random()),
    )
    return sum(_scrub(query) for query in queries) > 0


def _scrub(query: Select[int]) -> bool:
    release_id = db.session.scalar(query)
    end_reading()
    if release_id is None:
        return False
    if not drift.verify_release(release_id=release_id):
        logger.error("release damaged", extra={"release_id": release_id})
    return True


def sweep() -> int:
    """Delete what no row and contents that no release uses any more; returns the bytes freed."""
    leftovers.sweep(older_than_seconds=BLOB_GRACE_HOURS * 3600)
    return site_store().sweep_blobs(older_than_seconds=BLOB_GRACE_HOURS * 3600)


def forget() -> int:
    """Delete stored answers, sessions, counters, tickets and events that serve no purpose now."""
    now = utc_now()
    stale = now - timedelta(days=FORGET_AFTER_DAYS)
    statements = (
        delete(IdempotencyKey).where(
            IdempotencyKey.created_at < now - timedelta(hours=IDEMPOTENCY_HOURS)
        ),
        delete(LoginAttempt).where(LoginAttempt.updated_at < now - timedelta(days=1)),
        delete(RefreshToken).where(RefreshToken.expires_at < now - timedelta(days=1)),
        delete(UserSession).where(
            or_(UserSession.expires_at < stale, UserSession.revoked_at < stale)
        ),
        delete(EventTicket).where(EventTicket.expires_at < now),
        delete(OutboxEvent).where(
            OutboxEvent.at < now - timedelta(days=EVENTS_KEPT_DAYS),
            # The newest one stays: SQLite would give its number out again.
            OutboxEvent.id < (db.session.scalar(select(func.max(OutboxEvent.id))) or 0),
        ),
    )
    with transaction():
        return sum(changed_rows(statement) for statement in statements)
