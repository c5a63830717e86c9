"""One effect for repeated calls with the same Idempotency-Key.

The first call claims the key, works, and keeps its answer; repetitions get that answer. A claim
is a lease: when the process that holds it dies, the next call after the lease takes it over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, InvalidInputError
from core.ids import new_public_id
from core.settings import current_settings
from models.idempotency import IdempotencyKey, IdempotencyState
from services.crypto import decrypt_bytes, encrypt_bytes
from services.transaction import repeatable, transaction

LIFETIME = timedelta(hours=24)
LEASE_MARGIN_SECONDS = 120
PURGE_ROWS = 200
LONGEST_STORED_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CallKey:
    """Which call of whom a key belongs to."""

    actor_key: str
    method: str
    path: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to carry the call out; `owner` tells this claim from a later one."""

    call: CallKey
    owner: str


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """What the first call answered."""

    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def claim(*, call: CallKey, fingerprint: str | None) -> Claim | StoredAnswer:
    """Claim the key, or return the answer that it already has.

    Args:
        fingerprint: of what is asked; None for uploads, whose digest is known only when they
            were read. The caller then compares it with the stored one.

    Raises:
        InvalidInputError: `idempotency_mismatch`, the key was used for something else.
        ConflictError: `idempotency_in_progress`.
        UnavailableError: answers cannot be kept, because FIELD_KEYS is not set; said before
            the work is done.
    """
    encrypt_bytes(b"")
    now = utc_now()
    claimed = Claim(call=call, owner=new_public_id())
    if _insert(claimed, fingerprint or "", now):
        return claimed
    return _answer_or_take_over(claimed, fingerprint, now)


@repeatable()
def complete(
    *, claim: Claim, fingerprint: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Keep the answer for repetitions; too large a one only frees the key."""
    if len(body) > LONGEST_STORED_BYTES:
        abandon(claim=claim)
        return
    sealed = encrypt_bytes(body)
    with transaction() as session:
        session.execute(
            update(IdempotencyKey)
            .where(*_is(claim.call), IdempotencyKey.owner == claim.owner)
            .values(
                state=IdempotencyState.DONE,
                fingerprint=fingerprint,
                status=status,
                headers=dict(headers),
                body=sealed,
            )
        )


@repeatable()
def abandon(*, claim: Claim) -> None:
    """Free the key after a refusal, so that the same call may be tried again."""
    with transaction() as session:
        session.execute(
            delete(IdempotencyKey).where(*_is(claim.call), IdempotencyKey.owner == claim.owner)
        )


def purge(*, now: datetime | None = None) -> int:
    """Delete some of the answers that are older than their lifetime; return how many."""
    oldest = (now or utc_now()) - LIFETIME
    with transaction() as session:
        return _purge(session, oldest)


def _purge(session: Session, oldest: datetime) -> int:
    old = select(IdempotencyKey.id).where(IdempotencyKey.created_at < oldest).limit(PURGE_ROWS)
    ids = list(session.scalars(old))
    if ids:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.id.in_(ids)))
    return len(ids)


@repeatable()
def _insert(claimed: Claim, fingerprint: str, now: datetime) -> bool:
    """Insert a fresh row; False when the key is there already."""
    try:
        with transaction() as session:
            _purge(session, now - LIFETIME)
            _add(session, claimed, fingerprint, now)
    except IntegrityError:
        return False
    return True


@repeatable(also=IntegrityError)
def _answer_or_take_over(
    claimed: Claim, fingerprint: str | None, now: datetime
) -> Claim | StoredAnswer:
    """Look at the row that is there, locked, so that a lease that ended has one heir."""
    with transaction() as session:
        row = session.scalar(select(IdempotencyKey).where(*_is(claimed.call)).with_for_update())
        if row is None:  # it was abandoned a moment ago
            raise _in_progress(1)
        if now - row.created_at < LIFETIME:
            return _existing(session, row, claimed, fingerprint, now)
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.id == row.id))
        _add(session, claimed, fingerprint or "", now)
    return claimed


def _add(session: Session, claimed: Claim, fingerprint: str, now: datetime) -> None:
    session.execute(
        insert(IdempotencyKey).values(
            actor_key=claimed.call.actor_key,
            method=claimed.call.method,
            path=claimed.call.path,
            key=claimed.call.key,
            fingerprint=fingerprint,
            state=IdempotencyState.RUNNING,
            owner=claimed.owner,
            created_at=now,
            lease_until=now + _lease(),
        )
    )


def _existing(
    session: Session,
    row: IdempotencyKey,
    claimed: Claim,
    fingerprint: str | None,
    now: datetime,
) -> Claim | StoredAnswer:
    if fingerprint is not None and row.fingerprint not in ("", fingerprint):
        raise mismatch()
    if row.state is IdempotencyState.DONE:
        return _stored(row)
    if row.lease_until > now:
        raise _in_progress((row.lease_until - now).seconds)
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row.id)
        .values(owner=claimed.owner, lease_until=now + _lease())
    )
    return claimed


def _stored(row: IdempotencyKey) -> StoredAnswer:
    return StoredAnswer(
        fingerprint=row.fingerprint,
        status=row.status or 200,
        headers=row.headers or {},
        body=decrypt_bytes(row.body or b""),
    )


def mismatch() -> InvalidInputError:
    """Return the refusal of a key that was used for something else."""
    return InvalidInputError(
        "This Idempotency-Key was used with another body or other parameters.",
        code=ErrorCode.IDEMPOTENCY_MISMATCH,
    )


def _in_progress(seconds_left: int) -> ConflictError:
    return ConflictError(
        "A call with this Idempotency-Key is running.",
        code=ErrorCode.IDEMPOTENCY_IN_PROGRESS,
        retry_after_seconds=min(2, seconds_left),
    )


def _lease() -> timedelta:
    return timedelta(seconds=current_settings().max_wait_seconds + LEASE_MARGIN_SECONDS)


def _is(call: CallKey) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.actor_key == call.actor_key,
        IdempotencyKey.method == call.method,
        IdempotencyKey.path == call.path,
        IdempotencyKey.key == call.key,
    )
