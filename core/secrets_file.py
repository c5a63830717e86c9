"""Make the keys of an installation, once: `DATA_DIR/secrets.env`, readable by its owner only."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet

from core.keys_file import KEY_NAMES, SECRETS_FILE, KeysFile

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


def rotate_secrets(data_dir: Path) -> None:
    """Put a new signing key and a new field key before the present ones.

    From its next start the server signs and encrypts with the new keys and still reads what the
    old ones made. SECRET_KEY stays: the audit chain hangs on it.

    Raises:
        FileNotFoundError: there are no keys yet.
    """
    values = _read(data_dir)
    values["JWT_KEYS"] = f"{_fresh_jwt_key()},{values['JWT_KEYS']}"
    values["FIELD_KEYS"] = f"{Fernet.generate_key().decode()},{values['FIELD_KEYS']}"
    _replace(data_dir, values)


def retire_secrets(data_dir: Path) -> int:
    """Keep only the newest signing and field key; returns how many were dropped.

    Raises:
        FileNotFoundError: there are no keys yet.
    """
    values = _read(data_dir)
    dropped = 0
    for name in ("JWT_KEYS", "FIELD_KEYS"):
        first, *old = values[name].split(",")
        values[name] = first
        dropped += len(old)
    if dropped:
        _replace(data_dir, values)
    return dropped


def save_secrets(path: Path, values: Mapping[str, str]) -> None:
    """Write keys to a new file that only its owner can read.

    Raises:
        FileExistsError: there is a file already.
    """
    _write_private(path, _as_lines(dict(values)))
    _sync_folder(path.parent)


def read_secrets(source: Path) -> KeysFile:
    """Read keys that `save_secrets` wrote; whether they can be used shows when they are.

    Raises:
        ValueError: the file holds none, or is no such file; the message names it.
    """
    try:
        lines = _read_lines(source)
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{source} cannot be read as a file of keys") from error
    values = {name: value for name, value in lines.items() if name in KEY_NAMES}
    if set(values) != set(KEY_NAMES):
        raise ValueError(f"{source} does not hold {', '.join(KEY_NAMES)}")
    return KeysFile(path=source, values=values)


def refuse_other_secrets(data_dir: Path, keys: KeysFile) -> None:
    """Refuse to put keys where others are.

    Raises:
        ValueError: DATA_DIR has other keys already.
    """
    target = data_dir / SECRETS_FILE
    if not target.exists():
        return
    present = _read(data_dir)
    if any(present.get(name) != value for name, value in keys.values.items()):
        raise ValueError(f"{target} holds other keys; move it away first")


def adopt_secrets(data_dir: Path, keys: KeysFile) -> None:
    """Put keys into DATA_DIR unless they are there.

    Raises:
        ValueError: DATA_DIR has other keys already.
    """
    refuse_other_secrets(data_dir, keys)
    if not (data_dir / SECRETS_FILE).exists():
        save_secrets(data_dir / SECRETS_FILE, keys.values)


def fresh_secrets() -> str:
    """Return new keys as the lines of an environment file."""
    return _as_lines(
        {
            "SECRET_KEY": secrets.token_hex(KEY_BYTES),
            "JWT_KEYS": _fresh_jwt_key(),
            "FIELD_KEYS": Fernet.generate_key().decode(),
        }
    )


def _fresh_jwt_key() -> str:
    return f"{secrets.token_hex(4)}:{secrets.token_hex(KEY_BYTES)}"


def _as_lines(values: dict[str, str]) -> str:
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    return f"# Keys of this installation. Keep them secret, and a copy apart from backups.\n{lines}"


def _read(data_dir: Path) -> dict[str, str]:
    return _read_lines(data_dir / SECRETS_FILE)


def _read_lines(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _replace(data_dir: Path, values: dict[str, str]) -> None:
    """Put a complete file in the place of the present one."""
    draft = data_dir / f".{SECRETS_FILE}.{secrets.token_hex(8)}"
    _write_private(draft, _as_lines(values))
    os.replace(draft, data_dir / SECRETS_FILE)  # noqa: PTH105  # one atomic step
    _sync_folder(data_dir)


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
