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
    """Mark DATA_DIR, durably, before anything is restored.

    Args:
        data_dir: the installation.
        note: `command` is what to repeat, `file` what was restored.
    """
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
            f"Putting a backup back into {data_dir} was interrupted. Repeat: {_command(data_dir)}",
            code=ErrorCode.INSTALLATION_UNFINISHED,
        )


def _command(data_dir: Path) -> str:
    try:
        return str(json.loads(_path(data_dir).read_bytes())["command"])
    except (ValueError, KeyError, TypeError):
        return "the command that was interrupted"


def _path(data_dir: Path) -> Path:
    return data_dir / FILE
