"""Make the keys of an installation, once: `DATA_DIR/secrets.env`, readable by its owner only."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

SECRETS_FILE = "secrets.env"
KEY_BYTES = 32


def make_secrets(data_dir: Path) -> bool:
    """Write fresh keys unless there are keys already; returns whether they were written.

    The file appears complete or not at all, and an existing one is never touched: with other
    keys all sessions would end and encrypted fields could not be read any more.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = data_dir / SECRETS_FILE
    if target.exists():
        return False
    draft = data_dir / f".{SECRETS_FILE}.{secrets.token_hex(8)}"
    _write_private(draft, fresh_secrets())
    try:
        # link, unlike rename, fails when another process was faster.
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
        _sync_folder(data_dir)
    return True


def fresh_secrets() -> str:
    """Return new keys as the lines of an environment file."""
    jwt_key = f"{secrets.token_hex(4)}:{secrets.token_hex(KEY_BYTES)}"
    return (
        "# Keys of this installation. Keep them secret, and keep a copy apart from the backups.\n"
        f"SECRET_KEY={secrets.token_hex(KEY_BYTES)}\n"
        f"JWT_KEYS={jwt_key}\n"
        f"FIELD_KEYS={Fernet.generate_key().decode()}\n"
    )


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
