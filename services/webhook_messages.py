"""What a webhook is told, signed as standardwebhooks.com describes."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from standardwebhooks import Webhook as Signer

from core.clock import isoformat, utc_now
from models.engine import db
from models.users import User
from models.webhooks import Webhook, WebhookDelivery
from services.audit_trail import TYPES_NAMED_BY_USER_ID
from services.crypto import decrypt

USER_AGENT = "Relevo-Webhooks/1"
ID_PREFIX = "msg_"


def body_of(*, delivery: WebhookDelivery) -> bytes:
    """Return what is sent: type, timestamp and data; the same for every attempt.

    People are looked up now, by the names they have now: an erased one has none any more.
    """
    payload = delivery.payload
    content = {
        "type": delivery.topic,
        "timestamp": isoformat(delivery.occurred_at),
        "data": {
            "id": delivery.event_id,
            "site": payload.get("site"),
            "actor": _username(delivery.user_id),
            "target": _target(payload.get("target")),
            "after": payload.get("after"),
        },
    }
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


def headers_of(*, webhook: Webhook, delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt; the id stays, timestamp and signature are fresh."""
    now = utc_now()
    message_id = f"{ID_PREFIX}{delivery.event_id}"
    signatures = [
        Signer(secret).sign(msg_id=message_id, timestamp=now, data=body.decode())
        for secret in _secrets(webhook, now)
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _secrets(webhook: Webhook, now: datetime) -> list[str]:
    secrets = [decrypt(webhook.secret)]
    until = webhook.previous_secret_until
    if webhook.previous_secret is not None and until is not None and now < until:
        secrets.append(decrypt(webhook.previous_secret))
    return secrets


def _username(user_id: int | None) -> str | None:
    if user_id is None:
        return None
    return db.session.scalar(
        select(User.username).where(User.id == user_id, User.erased_at.is_(None))
    )


def _target(target: object) -> object:
    if not isinstance(target, Mapping) or target.get("type") not in TYPES_NAMED_BY_USER_ID:
        return target
    number = str(target.get("id"))
    return {**target, "id": _username(int(number)) if number.isdigit() else None}
