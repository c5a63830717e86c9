"""Prove that the audit trail is what was written: walk the chain, compare with an anchor.

The chain shows edits, deletions, insertions and swaps to whoever knows SECRET_KEY. What it can't
show by itself is a tail that was cut together with the head, or a chain made anew with the key:
for those there are anchors, signed notes of count and hash that are kept outside the database.
"""

import hmac
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import func, select

from core.errors import InvalidInputError
from models.audit import AuditEvent, AuditHead
from models.engine import db
from services.actors import Actor
from services.audit import GENESIS_HASH, HEAD_ID, audit_key, chain_hash
from services.transaction import end_reading

logger = logging.getLogger(__name__)

BATCH_ROWS = 1_000
_HASH_LENGTH = 64
_SIGNATURE_LENGTH = 32


@dataclass(frozen=True)
class Head:
    """How many events there are, the hash of the last one, and the last number in the table."""

    count: int
    last_hash: str
    last_number: int = 0


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The outcome; `first_invalid` is the number of the first event that is not as written."""

    valid: bool
    checked: int
    first_invalid: int | None
    anchor: str


def make_anchor(*, actor: Actor) -> str:
    """Return a signed note of the present end of the chain, to be kept elsewhere.

    Raises:
        ForbiddenError: audit:read is not held everywhere.
    """
    actor.require("audit:read")
    return _sign(_head())


def log_anchor() -> None:
    """Write an anchor to the log, which usually lives longer than a changed database."""
    head = _head()
    logger.info("audit anchor", extra={"count": head.count, "anchor": _sign(head)})


def verify(*, actor: Actor, anchor: str | None = None) -> Proof:
    """Walk the whole chain, a batch at a time.

    Args:
        anchor: what `make_anchor` gave at an earlier time.

    Raises:
        ForbiddenError: audit:read is not held everywhere.
        InvalidInputError: the anchor is not one of this installation.
    """
    actor.require("audit:read")
    anchored = _read_anchor(anchor) if anchor is not None else None
    head = _head()
    checked, first_invalid = _walk(head, anchored)
    if first_invalid is None:
        first_invalid = _judge_end(head, anchored)
    return Proof(
        valid=first_invalid is None,
        checked=checked,
        first_invalid=first_invalid,
        anchor=_sign(head),
    )


def _walk(head: Head, anchored: Head | None) -> tuple[int, int | None]:
    """Return how many events are sound, and the number of the first that is not."""
    previous, number = GENESIS_HASH, 0
    for event in _events_up_to(head.count):
        number += 1
        if event.id != number or event.hash != chain_hash(event, previous):
            return number - 1, number
        if anchored and number == anchored.count and event.hash != anchored.last_hash:
            return number - 1, number
        previous = event.hash
    if number < head.count or previous != head.last_hash:
        return number, number + 1
    return number, None


def _judge_end(head: Head, anchored: Head | None) -> int | None:
    """Return the first number that is missing or too many behind a sound chain."""
    if anchored is not None and head.count < anchored.count:
        return head.count + 1
    if head.last_number > head.count:
        return head.count + 1
    return None


def _events_up_to(last: int) -> Iterator[AuditEvent]:
    """Yield events in order; each batch is its own read, so that no snapshot is held for long."""
    position = 0
    while position < last:
        batch = db.session.scalars(
            select(AuditEvent)
            .where(AuditEvent.id > position, AuditEvent.id <= last)
            .order_by(AuditEvent.id)
            .limit(BATCH_ROWS)
            .execution_options(populate_existing=True)
        ).all()
        yield from batch
        if len(batch) < BATCH_ROWS:
            return
        position = batch[-1].id
        db.session.expunge_all()
        end_reading()


def _head() -> Head:
    """Read the end of the chain in one statement, so that a writer cannot come in between."""
    last_number = select(func.coalesce(func.max(AuditEvent.id), 0)).scalar_subquery()
    row = db.session.execute(
        select(AuditHead.count, AuditHead.last_hash, last_number).where(AuditHead.id == HEAD_ID)
    ).one_or_none()
    return Head(0, GENESIS_HASH) if row is None else Head(*row)


def _sign(head: Head) -> str:
    content = f"{head.count}.{head.last_hash}"
    signature = hmac.new(audit_key(), f"anchor {content}".encode(), sha256).hexdigest()
    return f"{content}.{signature[:_SIGNATURE_LENGTH]}"


def _read_anchor(anchor: str) -> Head:
    count, _, rest = anchor.partition(".")
    last_hash = rest.partition(".")[0]
    if count.isascii() and count.isdigit() and len(count) < 19 and len(last_hash) == _HASH_LENGTH:
        head = Head(int(count), last_hash)
        if hmac.compare_digest(_sign(head).encode(), anchor.encode("utf-8", "replace")):
            return head
    raise InvalidInputError.field("?anchor", "This is not an anchor of this installation.")
