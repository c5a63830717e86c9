"""Is this installation able to work: what `/readyz` asks before traffic is sent here."""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core.jobs import bell_problem
from core.redis_link import redis_link
from core.settings import current_settings
from models.engine import db
from services import recovery
from services.revisions import present_revisions, wanted_revisions

logger = logging.getLogger(__name__)

MIN_FREE_BYTES = 64 * 1024 * 1024


class CheckState(StrEnum):
    """How one part is; a degraded part still works, a failed one does not."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """The state of one part and a sentence without secrets when it is not well."""

    state: CheckState
    detail: str | None = None


class Readiness(StrEnum):
    """How the whole is."""

    READY = "ready"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Report:
    """All checks by name."""

    checks: dict[str, Check]

    @property
    def status(self) -> Readiness:
        """The worst of all checks."""
        states = {check.state for check in self.checks.values()}
        if CheckState.FAILED in states:
            return Readiness.UNAVAILABLE
        return Readiness.DEGRADED if CheckState.DEGRADED in states else Readiness.READY


CheckFunction = Callable[[], Check]
OK = Check(CheckState.OK)


def readiness(further: dict[str, CheckFunction] | None = None) -> Report:
    """Run every check.

    Args:
        further: checks that only the door knows of, such as its proxies, by name.
    """
    own: dict[str, CheckFunction] = {
        "database": _database,
        "migrations": _migrations,
        "recovery": _recovery,
        "storage": _storage,
    }
    if current_settings().redis_url is not None:
        own["redis"] = _redis
    if current_settings().celery_broker_url is not None:
        own["broker"] = _broker
    return Report({name: _run(name, check) for name, check in (own | (further or {})).items()})


def _run(name: str, check: CheckFunction) -> Check:
    try:
        return check()
    except (SQLAlchemyError, OSError) as error:
        # Asked every few seconds for as long as it lasts: one line, not the whole way to it.
        cause = str(error).partition("\n")[0]
        logger.warning("a check failed", extra={"check": name, "cause": cause})
        return Check(CheckState.FAILED, "Does not answer; the log says more.")


def _database() -> Check:
    with db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return OK


def _migrations() -> Check:
    if present_revisions() == wanted_revisions():
        return OK
    return Check(
        CheckState.FAILED, "The tables are not those of this version; run: relevo db upgrade"
    )


def _recovery() -> Check:
    if recovery.pending() == 0:
        return OK
    return Check(CheckState.FAILED, "A promotion of a process that died is not settled yet.")


def _storage() -> Check:
    """Write and flush a file where releases lie, and look at the free space."""
    root = current_settings().sites_root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=root) as probe:
        probe.write(b"relevo")
        probe.flush()
    free = os.statvfs(root)
    if free.f_bavail * free.f_frsize < MIN_FREE_BYTES:
        return Check(CheckState.DEGRADED, "Less than 64 MiB are free.")
    return OK


def _broker() -> Check:
    """Ask the broker: jobs are rows, so without it they only wait."""
    problem = bell_problem()
    return OK if problem is None else Check(CheckState.DEGRADED, problem)


def _redis() -> Check:
    """Ask Redis itself: nothing that must not be lost is kept there, so this never fails."""
    url = current_settings().redis_url
    if url is None or redis_link(url).answers():
        return OK
    return Check(CheckState.DEGRADED, "Redis does not answer: each node counts calls for itself.")
