"""Identifiers and secrets that nobody can guess."""

import hashlib
import secrets
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE = len(BASE62)
API_TOKEN_PREFIX = "rlv_"
_TOKEN_RANDOM_LENGTH = 36
_TOKEN_CHECKSUM_LENGTH = 6


def new_public_id() -> str:
    """Return an opaque id for URLs: 22 base62 characters, 131 bits."""
    return _random_base62(22)


def new_secret() -> str:
    """Return 43 base62 characters (256 bits) for refresh, reset and invitation secrets."""
    return _random_base62(43)


def new_api_token() -> str:
    """Return an API token: `rlv_`, 36 random base62 characters and their CRC-32 in six more.

    The checksum lets a mistyped or cut token be refused before the database is asked, and lets
    secret scanners tell tokens from noise.
    """
    random_part = _random_base62(_TOKEN_RANDOM_LENGTH)
    return f"{API_TOKEN_PREFIX}{random_part}{_checksum(random_part)}"


def is_api_token(value: str) -> bool:
    """Tell whether `value` has the shape and the checksum of an API token."""
    body = value.removeprefix(API_TOKEN_PREFIX)
    if body == value or len(body) != _TOKEN_RANDOM_LENGTH + _TOKEN_CHECKSUM_LENGTH:
        return False
    return _checksum(body[:_TOKEN_RANDOM_LENGTH]) == body[_TOKEN_RANDOM_LENGTH:]


def hash_secret(value: str) -> str:
    """Return the SHA-256 of a high-entropy secret in hex: what the database keeps of it."""
    return hashlib.sha256(value.encode()).hexdigest()


def _random_base62(length: int) -> str:
    # One draw for all: a draw for each character made ids a tenth of a promotion's work.
    number = secrets.randbelow(_BASE**length)
    digits = [""] * length
    for place in range(length):
        number, rest = number // _BASE, number % _BASE
        digits[place] = BASE62[rest]
    return "".join(digits)


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = []
    for _ in range(_TOKEN_CHECKSUM_LENGTH):
        number, rest = divmod(number, len(BASE62))
        digits.append(BASE62[rest])
    return "".join(reversed(digits))
