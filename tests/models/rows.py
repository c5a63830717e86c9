"""One row in every table, made from the types of the columns."""

import itertools
from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Enum,
    Integer,
    LargeBinary,
    String,
    Table,
    select,
)

from models.engine import Base
from models.types import UtcDateTime

MOMENT = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)
TEXT = "Zoë \\ 'quoted' %_ \N{CRAB} \u2028 "  # longer than some columns: cut to fit
JSON_VALUE = {"z": [1, 0.1, 1e-9, None, True], "a": {"ü": "\N{CRAB}", "": "\x00\x1f\\\"'"}}
BYTES = bytes(range(256))

Row = dict[str, object]


def fill(connection: Connection) -> dict[str, Row]:
    """Put a row with a value in every column into every table; return what was written."""
    written = {}
    numbers = itertools.count(2)
    for table in Base.metadata.sorted_tables:
        row = {column.name: _value(column, next(numbers)) for column in table.columns}
        connection.execute(table.insert(), row)
        written[table.name] = row
    return written


def read(connection: Connection) -> dict[str, Row]:
    """Return the only row of every table."""
    return {
        table.name: dict(connection.execute(select(table)).one()._mapping)
        for table in Base.metadata.sorted_tables
    }


def count(connection: Connection, table: Table) -> int:
    """Return how many rows a table has."""
    return len(connection.execute(select(table)).all())


def _value(column: "Column[object]", number: int) -> object:
    kind = column.type
    if column.foreign_keys or (column.primary_key and isinstance(kind, Integer)):
        return 1
    if isinstance(kind, UtcDateTime):
        return MOMENT
    if isinstance(kind, Enum):
        return next(iter(kind.enum_class or ()))
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, LargeBinary):
        return BYTES
    if isinstance(kind, JSON):
        return JSON_VALUE
    assert isinstance(kind, String), kind
    return TEXT[: kind.length or None]
