"""What both gunicorn processes have in common; `deploy/gunicorn/` adds what differs.

Under `relevo serve` the parent has bound the socket already and passes it with `--bind fd://`.
"""

import os
import signal
import tempfile
from pathlib import Path
from typing import Protocol

from gunicorn.glogging import Logger

from core import draining, gunicorn_patience, logs
from core.child import end_with_parent
from core.settings import Settings

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  # nosec B108  # only for gunicorn's heartbeat
IDLE_CONNECTION_SECONDS = 5
HEARTBEAT_SECONDS = 60


class Worker(Protocol):
    """What is used of gunicorn's worker."""

    alive: bool
    ppid: int


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Hand gunicorn's lines to the root logger, so that all lines have one form."""

    def setup(self, cfg: object) -> None:
        """Drop gunicorn's own handlers."""
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True


def common_settings(settings: Settings) -> dict[str, object]:
    """Return the names and values of a gunicorn configuration file."""
    logs.configure(settings)
    gunicorn_patience.configure(settings)
    run_dir = settings.data_dir / "run"
    spool_dir = run_dir / "tmp"
    spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Everything the server writes lies under DATA_DIR, bodies spooled by libraries included.
    tempfile.tempdir = str(spool_dir)
    in_memory = MEMORY_FOLDER.is_dir() and os.access(MEMORY_FOLDER, os.W_OK)
    return {
        "worker_class": "core.gunicorn_patience.PatientWorker",
        "workers": settings.web_workers,
        "threads": settings.web_threads,
        # Loaded once and shared by fork; development loads in each worker, to reload it.
        "preload_app": settings.is_production,
        "reload": not settings.is_production,
        "timeout": HEARTBEAT_SECONDS,
        "graceful_timeout": settings.shutdown_seconds,
        # A stopping worker waits this long for connections that never sent anything.
        "keepalive": IDLE_CONNECTION_SECONDS,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        # More than any token: the application refuses those that are too long, in its own form.
        "limit_request_field_size": 64 * 1024,
        # The application counts proxies itself (TRUSTED_PROXIES). gunicorn believes no header, so
        # it need not work out with each request whose headers it would believe.
        "forwarded_allow_ips": "*",
        "http_protocols": "h1",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "header_map": "drop",
        "control_socket_disable": True,
        "worker_tmp_dir": str(MEMORY_FOLDER if in_memory else run_dir),
        "accesslog": None,
        "errorlog": "-",
        "loglevel": settings.log_level.lower(),
        "logger_class": PlainLogger,
        "when_ready": when_ready,
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
    }


# Read before gunicorn sets its handlers: under `relevo serve` the parent answers Ctrl-C.
_PARENT_ANSWERS_INTERRUPTS = signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def when_ready(_server: object) -> None:
    """Leave Ctrl-C to the parent: gunicorn would drop the requests in flight."""
    _ignore_interrupts()


def post_fork(_server: object, worker: Worker) -> None:
    """Tie a worker to its gunicorn."""
    # Until the worker has its own handlers a SIGTERM would be lost, and the stop wait in vain.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not end_with_parent(signal.SIGKILL, worker.ppid):
        os._exit(0)


def post_worker_init(worker: Worker) -> None:
    """Leave Ctrl-C to the parent in the workers too, and let streams see when it ends."""
    draining.watch(worker)
    _ignore_interrupts()


def _ignore_interrupts() -> None:
    if _PARENT_ANSWERS_INTERRUPTS:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
