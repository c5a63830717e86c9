"""Append to the audit trail, inside the transaction of the change it tells of."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from sqlalchemy import bindparam, insert, select, update

from core.bell import ring
from core.clock import isoformat, utc_now
from core.ids import new_public_id
from core.settings import current_settings
from models.audit import AuditEvent, AuditHead, OutboxEvent
from models.engine import Base
from services.actors import Actor
from services.transaction import after_commit, repeatable, transaction

HEAD_ID = 1
GENESIS_HASH = "0" * 64
_KEY_PURPOSE = b"relevo audit chain 1"
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)

# Every change passes here, so these are built once, of plain tables.
_heads, _events, _outbox = (
    Base.metadata.tables[model.__tablename__] for model in (AuditHead, AuditEvent, OutboxEvent)
)
_HEAD = select(_heads.c.count, _heads.c.last_hash).where(_heads.c.id == HEAD_ID).with_for_update()
_MOVE_HEAD = (
    update(_heads)
    .where(_heads.c.id == HEAD_ID)
    .values(count=bindparam("new_count"), last_hash=bindparam("new_hash"))
)
_ADD_EVENT, _TELL = insert(_events), insert(_outbox)


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
) -> None:
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
        session.flush()  # what was changed is locked before the head, so nobody waits crosswise
        connection = session.connection()
        count, last_hash = connection.execute(_HEAD).one()
        values = _values(count + 1, actor, action, target, before, after)
        values["hash"] = new_hash = chain_hash(SimpleNamespace(**values), last_hash)
        connection.execute(_MOVE_HEAD, {"new_count": count + 1, "new_hash": new_hash})
        connection.execute(_ADD_EVENT, values)
        connection.execute(_TELL, _told(values))
        after_commit(ring)


def chain_hash(event: AuditEvent | SimpleNamespace, previous_hash: str) -> str:
    """Return the keyed hash of one event, or of its columns, on top of the hash before it.

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
    text = _CANONICAL.encode(content)
    return hmac.digest(audit_key(), text.encode(), "sha256").hex()


def audit_key() -> bytes:
    """Return the key of the chain, derived from SECRET_KEY for this purpose alone."""
    secret = current_settings().secret_key.encode()
    return hmac.digest(secret, _KEY_PURPOSE, "sha256")


def _values(
    number: int,
    actor: Actor,
    action: str,
    target: Target,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> dict[str, object]:
    """Return the columns of an event, all but its hash."""
    return {
        "id": number,
        "public_id": new_public_id(),
        "at": utc_now(),
        "user_id": actor.user_id,
        "via": actor.via.value,
        "token_id": actor.token_id,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": action,
        "target_type": target.type,
        "target_id": target.id,
        "site_id": target.site_id,
        "before": dict(before) if before is not None else None,
        "after": dict(after) if after is not None else None,
    }


def _told(event: Mapping[str, object]) -> dict[str, object]:
    """Return the columns of the outbox row that tells of an event."""
    return {
        "at": event["at"],
        "topic": event["action"],
        "site_id": event["site_id"],
        "user_id": event["user_id"],
        "payload": {
            "id": event["public_id"],
            "action": event["action"],
            "target": {"type": event["target_type"], "id": event["target_id"]},
            "after": event["after"],
        },
        "delivered_at": None,
    }
