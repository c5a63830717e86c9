"""Ways to falsify an audit trail behind the program's back; each names the first bad event."""

import random
from collections.abc import Callable

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from models.audit import AuditEvent
from services.audit import GENESIS_HASH, chain_hash

COLUMNS = {
    "at": "'2001-01-01 00:00:00.000000'",
    "user_id": "4711",
    "via": "'token'",
    "token_id": "4711",
    "address": "'203.0.113.9'",
    "request_id": "'forged'",
    "action": "'nothing.happened'",
    "target_type": "'other'",
    "target_id": "'other'",
    "site_id": "4711",
    "before": "'{}'",
    "after": "NULL",
    "public_id": "'forged'",
    "hash": f"'{'0' * 64}'",
}
CONTENT = ", ".join(f'"{name}"' for name in COLUMNS)


def edit(connection: Connection, chance: random.Random, count: int) -> int:
    number, column = chance.randint(1, count), chance.choice(list(COLUMNS))
    _run(connection, f'UPDATE audit_events SET "{column}" = {COLUMNS[column]} WHERE id = {number}')
    return number


def delete(connection: Connection, chance: random.Random, count: int) -> int:
    number = chance.randint(1, count)
    connection.execute(text(f"DELETE FROM audit_events WHERE id = {number}"))
    return number


def delete_and_close_the_gap(connection: Connection, chance: random.Random, count: int) -> int:
    number = chance.randint(1, count - 1)
    connection.execute(text(f"DELETE FROM audit_events WHERE id = {number}"))
    _shift(connection, -1, number)
    connection.execute(text("UPDATE audit_heads SET count = count - 1"))
    return number


def insert(connection: Connection, chance: random.Random, count: int) -> int:
    number = chance.randint(1, count)
    _shift(connection, 1, number - 1)
    source = number - 1 or number + 1
    columns = CONTENT.replace('"public_id"', "'forged'")
    _run(
        connection,
        f"INSERT INTO audit_events (id, {CONTENT}) "
        f"SELECT {number}, {columns} FROM audit_events WHERE id = {source}",
    )
    connection.execute(text("UPDATE audit_heads SET count = count + 1"))
    return number


def append(connection: Connection, _chance: random.Random, count: int) -> int:
    columns = CONTENT.replace('"public_id"', "'forged'")
    _run(
        connection,
        f"INSERT INTO audit_events (id, {CONTENT}) "
        f"SELECT {count + 1}, {columns} FROM audit_events WHERE id = {count}",
    )
    return count + 1


def swap(connection: Connection, chance: random.Random, count: int) -> int:
    low, high = sorted(chance.sample(range(1, count + 1), 2))
    for old, new in ((low, -1), (high, low), (-1, high)):
        connection.execute(text(f"UPDATE audit_events SET id = {new} WHERE id = {old}"))
    return low


def cut_tail(connection: Connection, chance: random.Random, count: int) -> int:
    number = chance.randint(1, count)
    connection.execute(text(f"DELETE FROM audit_events WHERE id >= {number}"))
    return number


def cut_tail_and_head(connection: Connection, chance: random.Random, count: int) -> int:
    """As whoever knows how the head works, but not the key, would do it."""
    number = cut_tail(connection, chance, count)
    last = connection.execute(
        text(f"SELECT hash FROM audit_events WHERE id = {number - 1}")
    ).scalar()
    connection.execute(
        text("UPDATE audit_heads SET count = :count, last_hash = :hash"),
        {"count": number - 1, "hash": last or GENESIS_HASH},
    )
    return number


def empty(connection: Connection, _chance: random.Random, _count: int) -> int:
    connection.execute(text("DELETE FROM audit_events"))
    connection.execute(text("DELETE FROM audit_heads"))
    return 1


def rechain(connection: Connection) -> None:
    """Compute all hashes anew, as only somebody with the key can."""
    session, previous = Session(bind=connection), GENESIS_HASH
    for event in session.scalars(select(AuditEvent).order_by(AuditEvent.id)):
        event.hash = previous = chain_hash(event, previous)
    session.flush()
    connection.execute(text("UPDATE audit_heads SET last_hash = :hash"), {"hash": previous})


def _run(connection: Connection, statement: str) -> None:
    """Run a statement in which names stand in double quotes, as the engine quotes names."""
    quote = connection.dialect.identifier_preparer.initial_quote
    connection.execute(text(statement.replace('"', quote)))


def _shift(connection: Connection, by: int, above: int) -> None:
    """Renumber all events above a number, by way of negative ones, which are free."""
    connection.execute(text(f"UPDATE audit_events SET id = -(id + {by}) WHERE id > {above}"))
    connection.execute(text("UPDATE audit_events SET id = -id WHERE id < 0"))


TAMPERINGS: dict[str, Callable[[Connection, random.Random, int], int]] = {
    "edit": edit,
    "delete": delete,
    "delete and close the gap": delete_and_close_the_gap,
    "insert": insert,
    "append": append,
    "swap": swap,
    "cut tail": cut_tail,
    "cut tail and head": cut_tail_and_head,
    "empty": empty,
}
