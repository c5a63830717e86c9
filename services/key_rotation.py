"""Bring stored secrets under the newest of FIELD_KEYS while requests keep running."""

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from models.engine import db
from models.idempotency import IdempotencyKey
from models.mail import OutgoingMail
from models.users import User
from models.webhooks import Webhook
from services.crypto import reencrypt_bytes
from services.transaction import changed_rows, end_reading, transaction

logger = logging.getLogger(__name__)

BATCH_ROWS = 200


@dataclass(frozen=True)
class EncryptedColumn:
    """One column that holds what `services.crypto` made; text or bytes."""

    key: InstrumentedAttribute[int]
    value: InstrumentedAttribute[Any]  # Any: str or bytes, nullable or not


ENCRYPTED_COLUMNS = (
    EncryptedColumn(User.id, User.totp_secret),
    EncryptedColumn(IdempotencyKey.id, IdempotencyKey.body),
    EncryptedColumn(Webhook.id, Webhook.secret),
    EncryptedColumn(Webhook.id, Webhook.previous_secret),
    EncryptedColumn(OutgoingMail.id, OutgoingMail.content),
)


def reencrypt_fields() -> int:
    """Encrypt every stored secret again under the first key; returns how many were changed.

    Each value is replaced only if it is still the one that was read, so a request that writes it
    at the same time wins and uses the first key anyway. Running it again finds nothing to do;
    then the old keys can be removed.

    Raises:
        UnavailableError: a value cannot be read with any of the keys; nothing of it is changed.
    """
    return sum(_reencrypt_column(column) for column in ENCRYPTED_COLUMNS)


def _reencrypt_column(column: EncryptedColumn) -> int:
    changed, position = 0, 0
    while True:
        rows = db.session.execute(
            select(column.key, column.value)
            .where(column.key > position, column.value.is_not(None))
            .order_by(column.key)
            .limit(BATCH_ROWS)
        ).all()
        end_reading()
        if not rows:
            return changed
        position = rows[-1][0]
        changed += _write(column, [(key, old, _renewed(old)) for key, old in rows])


def _renewed(value: str | bytes) -> str | bytes | None:
    if isinstance(value, bytes):
        return reencrypt_bytes(value)
    renewed = reencrypt_bytes(value.encode("ascii"))
    return None if renewed is None else renewed.decode("ascii")


def _write(column: EncryptedColumn, rows: list[tuple[int, str | bytes, str | bytes | None]]) -> int:
    wanted = [(key, old, new) for key, old, new in rows if new is not None]
    if not wanted:
        return 0
    with transaction():
        return sum(
            changed_rows(
                update(column.key.class_)
                .where(column.key == key, column.value == old)
                .values({column.value.key: new})
            )
            for key, old, new in wanted
        )
