"""Hash, verify and judge passwords."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import InvalidInputError, UnavailableError
from core.ids import new_secret
from services.password_blocklist import is_guessable

MIN_LENGTH = 15
MIN_LENGTH_WITH_TOTP = 8
MAX_LENGTH = 256
PARALLEL_HASHES = 4
HASH_WAIT_SECONDS = 10

_hasher = PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)
_slots = threading.BoundedSemaphore(PARALLEL_HASHES)


@dataclass(frozen=True)
class Verdict:
    """Whether a password was right, and whether its hash should be made anew."""

    right: bool
    outdated: bool = False


def hash_password(password: str) -> str:
    """Return the argon2id hash of `password`; slow on purpose, never inside a transaction."""
    with _slot():
        return _hasher.hash(_normalise(password))


def verify(stored_hash: str | None, password: str) -> Verdict:
    """Compare `password` with a hash; without one the same work is done on a dummy.

    A password over MAX_LENGTH is wrong without being hashed in full.
    """
    fits = len(password) <= MAX_LENGTH
    candidate = _normalise(password) if fits else ""
    with _slot():
        try:
            _hasher.verify(stored_hash or _dummy_hash(), candidate)
        except (VerificationError, InvalidHashError):
            return Verdict(right=False)
    if stored_hash is None or not fits:
        return Verdict(right=False)
    return Verdict(right=True, outdated=_hasher.check_needs_rehash(stored_hash))


def check_strength(
    password: str, *, pointer: str, names: tuple[str | None, ...] = (), has_totp: bool = False
) -> None:
    """Refuse a password that is too short, too long or easily guessed.

    Length and a block list are all that counts: no rules about kinds of characters.

    Args:
        password: as typed.
        pointer: where the password came from, for the complaint.
        names: what an attacker knows: user name, e-mail address, name of the site.
        has_totp: a second factor allows shorter passwords.

    Raises:
        InvalidInputError: with the reason as `code` of the field error.
    """
    text = _normalise(password)
    shortest = MIN_LENGTH_WITH_TOTP if has_totp else MIN_LENGTH
    if len(text) < shortest:
        message = f"must have at least {shortest} characters"
        raise InvalidInputError.field(pointer, message, code="too_short")
    if len(password) > MAX_LENGTH or len(text) > MAX_LENGTH:
        message = f"must have at most {MAX_LENGTH} characters"
        raise InvalidInputError.field(pointer, message, code="too_long")
    if is_guessable(text, [name for name in names if name]):
        message = "is among the passwords that are tried first"
        raise InvalidInputError.field(pointer, message, code="guessable")


def is_short(password: str) -> bool:
    """Tell whether this password is allowed only together with a second factor."""
    return len(_normalise(password)) < MIN_LENGTH


def _normalise(password: str) -> str:
    """Return the NFKC form, so that one password typed on two keyboards is one password."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return _hasher.hash(new_secret())


@contextmanager
def _slot() -> Iterator[None]:
    """Bound the memory and the processors that hashing can take."""
    if not _slots.acquire(timeout=HASH_WAIT_SECONDS):
        raise UnavailableError("Too many logins at once.", retry_after_seconds=HASH_WAIT_SECONDS)
    try:
        yield
    finally:
        _slots.release()
