"""One log line for each visit, without anything that tells who the visitor was."""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

from core.clock import monotonic
from serving.hosts import Pointed
from storage.errors import DamagedReleaseError

logger = logging.getLogger("relevo.sites")


@dataclass(frozen=True, slots=True)
class Visit:
    """What is known of a request when its answer begins.

    The query string stays out, since it may hold secrets, and so does the visitor's address.
    """

    host: str | None
    method: str
    path: str
    status: int
    release: str | None
    started: float

    @classmethod
    def of(
        cls,
        environ: WSGIEnvironment,
        *,
        host: str | None,
        status: HTTPStatus,
        pointed: Pointed | None,
        started: float,
    ) -> "Visit":
        """Collect the fields of one request."""
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        release = pointed.short_digest if pointed else None
        return cls(host, environ["REQUEST_METHOD"], path, status.value, release, started)


def log_visit(visit: Visit, size_bytes: int) -> None:
    """Write the line, after the body has been sent."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {
        "host": visit.host,
        "method": visit.method,
        "path": visit.path,
        "status": visit.status,
        "size_bytes": size_bytes,
        "duration_ms": round((monotonic() - visit.started) * 1000, 3),
        "release": visit.release,
    }
    words = (visit.method, visit.host, visit.path, visit.status)
    logger.info("%s %s %s %d", *words, extra=fields)


def log_damage(pointed: Pointed, error: DamagedReleaseError) -> None:
    """Tell the operator that a release cannot be served as it was published."""
    fields = {
        "site": pointed.slug,
        "release": pointed.digest,
        "missing": error.missing,
        "changed": error.changed,
    }
    logger.error("release is damaged: %s", error, extra=fields, exc_info=error.__cause__)
