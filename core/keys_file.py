"""Where the keys of an installation are; reading them needs no cryptography."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECRETS_FILE = "secrets.env"
KEY_NAMES = ("SECRET_KEY", "JWT_KEYS", "FIELD_KEYS")


@dataclass(frozen=True)
class KeysFile:
    """Keys that were saved apart; `path` is where they were read."""

    path: Path
    values: Mapping[str, str] = field(repr=False)
