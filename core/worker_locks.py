"""Which workers of this host live: each holds an flock that the kernel frees at its end.

The files lie below DATA_DIR, so a worker whose file is not there works on another host, and only
the end of its lease tells that it is gone.
"""

import fcntl
import os
import platform
from pathlib import Path

from core.ids import new_public_id

HOST_LETTERS = 24


class WorkerLock:
    """The name of this process as a worker, alive for as long as the lock is held."""

    def __init__(self, data_dir: Path) -> None:
        host = "".join(c for c in platform.node() if c.isalnum() or c in "-.")[:HOST_LETTERS]
        self.name = f"{host or 'host'}-{os.getpid()}-{new_public_id()}"
        self._path = _folder(data_dir) / self.name
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """End an orderly life, after everything was handed back."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def is_dead(data_dir: Path, name: str) -> bool:
    """Tell whether a worker of this host has ended without an orderly goodbye."""
    path = _folder(data_dir) / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def forget_dead(data_dir: Path, names: set[str]) -> None:
    """Remove the files of dead workers, except those that still own something."""
    folder = _folder(data_dir)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in names and is_dead(data_dir, path.name):
            path.unlink(missing_ok=True)


def _folder(data_dir: Path) -> Path:
    return data_dir / "run" / "workers"
