"""The mark of a restore that has begun and not ended: `DATA_DIR/restore-unfinished.json`."""

import json
from collections.abc import Mapping
from pathlib import Path

from core.errors import ErrorCode, UnavailableError
from storage import files

FILE = "restore-unfinished.json"


def is_set(data_dir: Path) -> bool:
    """Tell whether a restore into DATA_DIR was interrupted."""
    return _path(data_dir).exists()


def put(data_dir: Path, note: Mapping[str, object]) -> None:
    """Mark DATA_DIR, durably, before anything is restored."""
    path = _path(data_dir)
    path.unlink(missing_ok=True)
    files.write_durably(path, json.dumps(note).encode(), mode=0o600)
    files.sync_folder(data_dir)


def remove(data_dir: Path) -> None:
    """Take the mark away: everything is there."""
    _path(data_dir).unlink(missing_ok=True)
    files.sync_folder(data_dir)


def refuse(data_dir: Path) -> None:
    """Refuse to work on what is half restored.

    Raises:
        UnavailableError: `installation_unfinished`.
    """
    if is_set(data_dir):
        raise UnavailableError(
            "A restore into this DATA_DIR was interrupted. Repeat: relevo backup restore FILE",
            code=ErrorCode.INSTALLATION_UNFINISHED,
        )


def _path(data_dir: Path) -> Path:
    return data_dir / FILE
