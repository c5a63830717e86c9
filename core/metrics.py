"""Counters for Prometheus, summed over all processes of a node.

Each process writes small mapped files below DATA_DIR/run/metrics; whoever is asked adds them up.
"""

import os
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

from core.settings import Settings

FOLDER = "run/metrics"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The measures of one application; labels hold route templates, never addresses."""

    def __init__(self, settings: Settings) -> None:
        self._folder = metrics_folder(settings)
        self._is_prepared = False
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.requests = Counter(
            "relevo_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=None,
        )
        self.seconds = Histogram(
            "relevo_request_seconds",
            "Time until the answer began.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=None,
        )

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._prepare()
        answers, times = self._of(method, route, status)
        answers.inc()
        times.observe(seconds)

    def _of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the counters of one kind of answer; looking them up takes as long as counting."""
        found = self._known.get((method, route, status))
        if found is None:
            found = (
                self.requests.labels(method, route, str(status)),
                self.seconds.labels(method, route),
            )
            self._known[method, route, status] = found
        return found

    def render(self) -> bytes:
        """Return the sums of all processes in Prometheus' text format."""
        self._prepare()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _prepare(self) -> None:
        """Make the folder when it is needed: a command writes nothing there."""
        if not self._is_prepared:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not before: a second application of this process would write where nothing is yet.
            _write_to(self._folder)
            self._is_prepared = True


def metrics_folder(settings: Settings) -> Path:
    """Return where the processes write; whoever starts them all empties it first."""
    return settings.data_dir / FOLDER


def _write_to(folder: Path) -> None:
    """Make prometheus_client write to `folder`: it knows no other way than the environment."""
    os.environ[FOLDER_VARIABLE] = str(folder)  # noqa: TID251 - for the library, not a setting
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
