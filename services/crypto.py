"""Encrypt fields at rest with a list of keys: the first encrypts, all of them decrypt."""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.errors import UnavailableError
from core.settings import current_settings


def encrypt(text: str) -> str:
    """Encrypt `text` under the first of FIELD_KEYS."""
    return encrypt_bytes(text.encode()).decode("ascii")


def decrypt(value: str) -> str:
    """Return the clear text of what `encrypt` made.

    Raises:
        UnavailableError: none of FIELD_KEYS opens it.
    """
    return decrypt_bytes(value.encode("ascii")).decode()


def encrypt_bytes(content: bytes) -> bytes:
    """Encrypt `content` under the first of FIELD_KEYS."""
    return _ring().encrypt(content)


def decrypt_bytes(value: bytes) -> bytes:
    """Return the clear content of what `encrypt_bytes` made.

    Raises:
        UnavailableError: none of FIELD_KEYS opens it.
    """
    try:
        return _ring().decrypt(value)
    except InvalidToken as error:
        raise _unreadable() from error


def reencrypt_bytes(value: bytes) -> bytes | None:
    """Return `value` under the first key, or None when that key made it.

    Raises:
        UnavailableError: none of FIELD_KEYS opens it.
    """
    keys = _keys()
    if _opens(keys[0], value):
        return None
    try:
        return _ring().rotate(value)
    except InvalidToken as error:
        raise _unreadable() from error


def _ring() -> MultiFernet:
    return _ring_of(_keys())


def _keys() -> tuple[str, ...]:
    keys = current_settings().field_keys
    if not keys:
        raise UnavailableError("FIELD_KEYS is not set, so nothing secret can be stored.")
    return keys


@lru_cache(maxsize=8)
def _ring_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _opens(key: str, value: bytes) -> bool:
    try:
        Fernet(key).decrypt(value)
    except InvalidToken:
        return False
    return True


def _unreadable() -> UnavailableError:
    return UnavailableError("A stored secret cannot be read with the present FIELD_KEYS.")
