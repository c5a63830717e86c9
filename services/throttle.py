"""Slow down whoever guesses: growing delays for one account from one address, never a lock.

An attempt is claimed before the password is hashed, in one short write transaction, so that a
hundred parallel guesses in any number of processes can't pass together. A success gives the
claim back.
"""

import hashlib
import ipaddress
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from limits import RateLimitItem, parse
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import ErrorCode, ThrottledError
from core.settings import current_settings
from models.engine import db
from models.sessions import LoginAttempt
from services.transaction import repeatable, transaction

MAX_DELAY_SECONDS = 300
FORGET_AFTER = timedelta(minutes=15)
_FREE_SHARE = 0.8
_IPV6_NETWORK_BITS = 64


@dataclass(frozen=True)
class Claim:
    """One attempt that was let through."""

    key_hash: str
    next_try_at: datetime


def attempt_key(*, purpose: str, account: str, address: str | None) -> str:
    """Return the key that counts attempts on `account` from `address`.

    The name is compared without case, Unicode form or spaces. An IPv6 client owns a /64, so the
    whole network counts as one address. Only a hash is stored: people type passwords into the
    field for the name.
    """
    name = "".join(unicodedata.normalize("NFKC", account).casefold().split())
    content = f"{purpose}\0{name}\0{_network(address)}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@repeatable(also=IntegrityError)
def claim(key_hash: str) -> Claim:
    """Count an attempt as failed before it is looked at.

    Raises:
        ThrottledError: too many failures; says when to try again.
    """
    _refuse_early(db.session.get(LoginAttempt, key_hash, populate_existing=True))
    with transaction() as session:
        row = session.get(LoginAttempt, key_hash, populate_existing=True, with_for_update=True)
        now = utc_now()
        _refuse_early(row)
        if row is None:
            row = LoginAttempt(key_hash=key_hash, failures=0, next_try_at=now, updated_at=now)
            session.add(row)
        if row.updated_at + FORGET_AFTER < now and row.next_try_at < now:
            row.failures = 0
        row.failures += 1
        row.next_try_at = now + delay_after(row.failures)
        row.updated_at = now
        return Claim(key_hash, row.next_try_at)


@repeatable()
def forgive(claimed: Claim) -> None:
    """Forget all failures of this key, after a success."""
    with transaction() as session:
        session.execute(delete(LoginAttempt).where(LoginAttempt.key_hash == claimed.key_hash))


@repeatable()
def give_back(claimed: Claim) -> None:
    """Take back one claim that was neither a success nor a failure; the failures stay."""
    with transaction() as session:
        mine = LoginAttempt.key_hash == claimed.key_hash
        session.execute(
            update(LoginAttempt)
            .where(mine, LoginAttempt.failures > 0)
            .values(failures=LoginAttempt.failures - 1)
        )
        session.execute(
            update(LoginAttempt)
            .where(mine, LoginAttempt.next_try_at == claimed.next_try_at)
            .values(next_try_at=utc_now())
        )


def delay_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row.

    Four fifths of LOGIN_RATE_LIMIT pass freely, then the delay doubles from a second; from the
    limit on it is at least the whole window, so that the limit is never exceeded.
    """
    rate = _rate()
    excess = failures - max(1, int(rate.amount * _FREE_SHARE))
    if excess < 0:
        return timedelta(0)
    seconds = float(2 ** min(excess, 16))
    longest = max(MAX_DELAY_SECONDS, rate.get_expiry())
    if failures >= rate.amount:
        seconds = max(seconds, rate.get_expiry() * 2.0 ** min(failures - rate.amount, 16))
    return timedelta(seconds=min(seconds, longest))


def _refuse_early(row: LoginAttempt | None) -> None:
    if row is None:
        return
    wait = (row.next_try_at - utc_now()).total_seconds()
    if wait > 0:
        raise ThrottledError(
            "Too many attempts for this account from this address.",
            code=ErrorCode.LOGIN_THROTTLED,
            retry_after_seconds=int(wait) + 1,
        )


def _rate() -> RateLimitItem:
    return parse(current_settings().login_rate_limit)


def _network(address: str | None) -> str:
    if address is None:
        return "-"
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "?"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
