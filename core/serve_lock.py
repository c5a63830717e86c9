"""Who serves a DATA_DIR: one parent at a time, marked by a lock the kernel frees at its end."""

import fcntl
import os
from pathlib import Path

from core.keys_file import SECRETS_FILE

LOCK_FILE = "serve.lock"


def take(data_dir: Path) -> int | None:
    """Lock DATA_DIR and note the time; returns the descriptor to keep, None if it is locked."""
    path = _path(data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.utime(descriptor)
    return descriptor


def is_taken(data_dir: Path) -> bool:
    """Tell whether a server works on DATA_DIR just now."""
    if not _path(data_dir).exists():
        return False
    with _path(data_dir).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def serves_with_older_keys(data_dir: Path) -> bool:
    """Tell whether a server runs that was started before the keys were changed last."""
    if not is_taken(data_dir):
        return False
    return _path(data_dir).stat().st_mtime_ns < (data_dir / SECRETS_FILE).stat().st_mtime_ns


def _path(data_dir: Path) -> Path:
    return data_dir / "run" / LOCK_FILE
