"""Which keys a backup of the installation belongs to, without saying anything about them."""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from core.settings import current_settings

_FINGERPRINT_PURPOSE = b"relevo key fingerprint 1"
_MARK_PURPOSE = b"relevo installation backup 1"
_FINGERPRINT_DIGITS = 16


def fingerprints() -> dict[str, list[str]]:
    """Return short hashes of the keys that rows depend on.

    SECRET_KEY keys the audit trail, FIELD_KEYS open stored secrets. JWT_KEYS sign what lives for
    minutes, so others do as well.
    """
    settings = current_settings()
    return {
        "SECRET_KEY": [_fingerprint(settings.secret_key)],
        "FIELD_KEYS": [_fingerprint(key) for key in settings.field_keys],
    }


def missing_keys(saved: Mapping[str, list[str]]) -> list[str]:
    """Return the names of the settings that lack a key the backup was made with."""
    held = fingerprints()
    return [name for name, wanted in saved.items() if not set(wanted) <= set(held.get(name, ()))]


def key_values() -> dict[str, str]:
    """Return the keys themselves as an environment file has them; never to be logged."""
    settings = current_settings()
    return {
        "SECRET_KEY": settings.secret_key,
        "JWT_KEYS": ",".join(settings.jwt_keys),
        "FIELD_KEYS": ",".join(settings.field_keys),
    }


def mark(content: bytes) -> str:
    """Return what only the holder of SECRET_KEY can put on `content`."""
    secret = current_settings().secret_key.encode()
    key = hmac.new(secret, _MARK_PURPOSE, sha256).digest()
    return hmac.new(key, content, sha256).hexdigest()


def is_mark_of(content: bytes, claimed: str) -> bool:
    """Tell whether `mark` made `claimed` for `content`."""
    return hmac.compare_digest(mark(content), claimed)


def _fingerprint(key: str) -> str:
    digest = hmac.new(key.encode(), _FINGERPRINT_PURPOSE, sha256).hexdigest()
    return digest[:_FINGERPRINT_DIGITS]
