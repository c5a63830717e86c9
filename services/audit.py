"""Append to the audit trail, inside the transaction of the change it tells of."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, update

from core.clock import isoformat, utc_now
from core.ids import new_public_id
from core.settings import current_settings
from models.audit import AuditEvent, AuditHead, OutboxEvent
from services.actors import Actor
from services.transaction import repeatable, transaction

HEAD_ID = 1
GENESIS_HASH = "0" * 64
_KEY_PURPOSE = b"relevo audit chain 1"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an event is about: a kind of thing, its public name, and its site if it has one."""

    type: str
    id: str
    site_id: int | None = None


@repeatable()
def record(
    *,
    actor: Actor,
    action: str,
    target: Target,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Append one event to the chain and one to the outbox.

    The head row is locked first, so that writers take turns on every engine and the chain has
    neither gaps nor forks; on SQLite the unit of work holds the lock already.

    Args:
        actor: who did it.
        action: what happened, such as `promotion.succeeded`.
        target: the thing it happened to.
        before: the fields that changed, as they were; JSON values only, never secrets.
        after: the fields that changed, as they are now.
    """
    with transaction() as session:
        count, last_hash = session.execute(
            select(AuditHead.count, AuditHead.last_hash)
            .where(AuditHead.id == HEAD_ID)
            .with_for_update()
        ).one()
        event = _event(count + 1, actor, action, target, before, after)
        event.hash = chain_hash(event, last_hash)
        session.execute(
            update(AuditHead)
            .where(AuditHead.id == HEAD_ID)
            .values(count=event.id, last_hash=event.hash)
            .execution_options(synchronize_session=False)
        )
        session.add(event)
        session.add(_outbox_row(event))
    return event


def chain_hash(event: AuditEvent, previous_hash: str) -> str:
    """Return the keyed hash of one event on top of the hash before it.

    The key is derived from SECRET_KEY, so that whoever can write to the database but does not
    know the key can't make a chain that verifies.
    """
    content = {
        "id": event.id,
        "public_id": event.public_id,
        "at": isoformat(event.at),
        "user_id": event.user_id,
        "via": event.via,
        "token_id": event.token_id,
        "address": event.address,
        "request_id": event.request_id,
        "action": event.action,
        "target": [event.target_type, event.target_id],
        "site_id": event.site_id,
        "before": event.before,
        "after": event.after,
        "previous": previous_hash,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(audit_key(), text.encode(), hashlib.sha256).hexdigest()


def audit_key() -> bytes:
    """Return the key of the chain, derived from SECRET_KEY for this purpose alone."""
    secret = current_settings().secret_key.encode()
    return hmac.new(secret, _KEY_PURPOSE, hashlib.sha256).digest()


def _event(
    number: int,
    actor: Actor,
    action: str,
    target: Target,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> AuditEvent:
    return AuditEvent(
        id=number,
        public_id=new_public_id(),
        at=utc_now(),
        user_id=actor.user_id,
        via=actor.via.value,
        token_id=actor.token_id,
        address=actor.address,
        request_id=actor.request_id,
        action=action,
        target_type=target.type,
        target_id=target.id,
        site_id=target.site_id,
        before=dict(before) if before is not None else None,
        after=dict(after) if after is not None else None,
    )


def _outbox_row(event: AuditEvent) -> OutboxEvent:
    payload = {
        "id": event.public_id,
        "action": event.action,
        "target": {"type": event.target_type, "id": event.target_id},
        "after": event.after,
    }
    return OutboxEvent(
        at=event.at,
        topic=event.action,
        site_id=event.site_id,
        user_id=event.user_id,
        payload=payload,
    )
