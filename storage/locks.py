"""Locks between processes that end with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

LOCKS_FOLDER = ".locks"
_POLL_SECONDS = 0.005
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class LockBusyError(Exception):
    """Somebody else holds the lock and did not let go in time."""


@contextmanager
def file_lock(path: Path, *, exclusive: bool = True, wait_seconds: float | None) -> Iterator[None]:
    """Hold an flock on `path`; it is freed by the kernel when the process dies.

    Args:
        path: the lock file; made when missing, never removed.
        exclusive: False lets several readers in at once.
        wait_seconds: how long to wait; None waits for ever, 0 tries once.

    Raises:
        LockBusyError: it could not be had in time.
    """
    descriptor = _opened(path)
    try:
        _acquire(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, wait_seconds)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, _LOCK_FILE, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, _LOCK_FILE, 0o600)


def _acquire(descriptor: int, kind: int, wait_seconds: float | None) -> None:
    if wait_seconds is None:
        fcntl.flock(descriptor, kind)
        return
    deadline = monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline:
                raise LockBusyError("the lock is held by another process or thread") from None
            sleep(_POLL_SECONDS)
        else:
            return


def release_lock_path(root: Path, slug: str) -> Path:
    """Return the lock that uploads share and deletions of releases hold alone."""
    return root / LOCKS_FOLDER / f"{slug}.releases"


def pointer_lock_path(root: Path, slug: str, environment: str) -> Path:
    """Return the lock that whoever moves a pointer holds."""
    return root / LOCKS_FOLDER / f"{slug}.{environment}"
