"""Which kinds of long work there are, and the bell that tells workers of a new job.

Knows no feature: services describe their work as a `JobKind`, and `services/background.py`
lists them all. The job itself is a row; a bell that nobody hears only costs a little time.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from flask import Flask, current_app

KINDS = "relevo.job_kinds"
BELL = "relevo.bell"

DEFAULT_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0


class Queue(StrEnum):
    """Where jobs wait; a Celery worker can be told which ones to take."""

    DEFAULT = "default"
    RELEASES = "releases"
    DATABASES = "databases"
    WEBHOOKS = "webhooks"


def growing_pause(attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: twice as long each time, with jitter."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311  # nosec B311


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """One kind of long work.

    Args:
        name: `releases.process`; public, never renamed.
        run: called with a `services.job_runs.JobRun`; what it returns is the result, a
            dictionary of JSON values or None. It may be called more than once for one job.
        queue: where its jobs wait.
        max_attempts: after how many starts a job is given up.
        pause_seconds: how long to wait after the attempt with this number.
        gave_up: called with the `models.jobs.Job` inside the unit of work in which the job ends
            as failed or cancelled, to mark what it was about.
    """

    name: str
    run: Callable[[Any], dict[str, Any] | None]  # Any: JobRun, which core must not know
    queue: Queue = Queue.DEFAULT
    max_attempts: int = DEFAULT_ATTEMPTS
    pause_seconds: Callable[[int], float] = growing_pause
    gave_up: Callable[[Any], object] | None = None


class Bell(Protocol):
    """Tells workers that a job is there; must neither raise nor wait long."""

    def ring(self, *, job_id: str, queue: str) -> None:
        """Announce one job."""

    def problem(self) -> str | None:
        """Say why nobody may hear it, or None when all is well."""


class SilentBell:
    """Tells nobody: workers look for due jobs every few seconds anyway."""

    def ring(self, *, job_id: str, queue: str) -> None:
        """Do nothing."""

    def problem(self) -> str | None:
        """Find nothing wrong with that."""
        return None


def register(app: Flask, *kinds: JobKind) -> None:
    """Make kinds of work known to an application.

    Raises:
        ValueError: a name is taken.
    """
    known = app.extensions.setdefault(KINDS, {})
    for kind in kinds:
        if known.setdefault(kind.name, kind) is not kind:
            raise ValueError(f"there are two kinds of job with the name {kind.name}")


def find_kind(name: str) -> JobKind | None:
    """Return a kind of work, or None when this version does not know it."""
    kind = current_app.extensions.get(KINDS, {}).get(name)
    return kind if isinstance(kind, JobKind) else None


def bell_problem() -> str | None:
    """Say what is wrong with the bell of the running application, or None."""
    bell: Bell = current_app.extensions.get(BELL) or SilentBell()
    return bell.problem()


def ring(*, job_id: str, queue: str) -> None:
    """Ring the bell of the running application."""
    bell: Bell = current_app.extensions.get(BELL) or SilentBell()
    bell.ring(job_id=job_id, queue=queue)
