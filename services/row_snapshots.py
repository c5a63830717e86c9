"""All rows as they were at one moment, in a form that every engine can take back.

A row is a JSON array in the order of the columns. Times are ISO 8601 in UTC, bytes base64, JSON
columns their own text; NULL is null. The hash of a table is over its rows in the order of the
primary key, with JSON texts in one canonical form, so that it is the same on every engine.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    String,
    Text,
    cast,
    collate,
    column,
    inspect,
    select,
    table,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from core.clock import isoformat
from models.engine import Base, db
from models.servers import lift_limits
from models.types import UtcDateTime

ROWS_AT_ONCE = 500
SNAPSHOTS = {
    "sqlite": ("BEGIN",),
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": (
        # Otherwise the server gives up after a minute on a reader that takes nothing.
        "SET SESSION net_write_timeout = 3600",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
}
"""What begins a transaction that sees one moment, and changes nothing."""


AnyType = TypeEngine[Any]
"""Any: a column of whatever Python type."""


class Kind(StrEnum):
    """What a column holds, whatever the engine calls it."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    BYTES = "bytes"
    TIME = "time"
    JSON = "json"


TYPES: dict[Kind, AnyType] = {
    Kind.INTEGER: BigInteger(),
    Kind.FLOAT: Float(),
    Kind.BOOLEAN: Boolean(),
    Kind.TEXT: String(),
    Kind.BYTES: LargeBinary(),
    Kind.TIME: UtcDateTime(),
    Kind.JSON: JSON(none_as_null=True),
}
"""How rows are written; wide types, because the column itself narrows them."""

_KINDS: tuple[tuple[type[AnyType], Kind], ...] = (
    (Boolean, Kind.BOOLEAN),
    (Integer, Kind.INTEGER),
    (Float, Kind.FLOAT),
    (DateTime, Kind.TIME),
    (LargeBinary, Kind.BYTES),
    (JSON, Kind.JSON),
    (String, Kind.TEXT),
)


@dataclass(frozen=True)
class SavedColumn:
    """One column as a backup describes it."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class SavedTable:
    """One table as a backup describes it; `key` are the columns of its primary key."""

    name: str
    columns: tuple[SavedColumn, ...]
    key: tuple[str, ...]

    def place(self, name: str) -> int:
        """Return at which place of a row a column stands."""
        return [entry.name for entry in self.columns].index(name)


@dataclass
class TableHash:
    """Counts and hashes rows as they go by."""

    table: SavedTable
    rows: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        columns = enumerate(self.table.columns)
        self._documents = [place for place, entry in columns if entry.kind is Kind.JSON]

    def add(self, line: str, values: Sequence[object]) -> None:
        """Take one row: its line, and the values in it."""
        self.rows += 1
        if self._documents:
            line = to_line(self._canonical(values))
        self._digest.update(f"{line}\n".encode())

    def _canonical(self, values: Sequence[object]) -> list[object]:
        row = list(values)
        for place in self._documents:
            text = row[place]
            if isinstance(text, str):
                row[place] = json.dumps(json.loads(text), sort_keys=True)
        return row

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def snapshot() -> Iterator[Connection]:
    """Yield a connection that sees one moment of the database, however long it is read.

    Writers go on meanwhile. The time limits of ordinary connections are lifted.
    """
    with db.engine.connect() as connection:
        lift_limits(connection)
        for statement in SNAPSHOTS[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        # On SQLite and PostgreSQL the first read takes the snapshot, and this is it.
        inspect(connection).get_table_names()
        yield connection


def present_tables(connection: Connection) -> list[SavedTable]:
    """Describe the tables of Relevo that are there, those that others refer to first.

    The database may be older than the program: only columns that exist are named.
    """
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    found = []
    for known in Base.metadata.sorted_tables:
        if known.name not in present:
            continue
        names = {entry["name"]: entry["type"] for entry in inspector.get_columns(known.name)}
        columns = [
            SavedColumn(name, kind_of(known.columns[name].type if name in known.columns else type_))
            for name, type_ in sorted(names.items())
        ]
        key = tuple(inspector.get_pk_constraint(known.name)["constrained_columns"])
        found.append(SavedTable(known.name, tuple(columns), key))
    return found


def kind_of(type_: AnyType) -> Kind:
    """Return what a column of this type holds.

    Raises:
        TypeError: nothing that a backup can carry.
    """
    if isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
    for known, kind in _KINDS:
        if isinstance(type_, known):
            return kind
    raise TypeError(f"rows of type {type_!r} cannot be saved")


def lines_of(connection: Connection, saved: SavedTable) -> Iterator[tuple[str, list[object]]]:
    """Yield the rows of a table in the order of its key: the line, and the values in it."""
    query = select(*(_read(connection, entry) for entry in saved.columns)).select_from(
        table(saved.name)
    )
    ordered = query.order_by(*(_ordered(connection, saved, name) for name in saved.key))
    rows = connection.execute(ordered, execution_options={"yield_per": ROWS_AT_ONCE})
    for row in rows:
        values = [_encoded(value) for value in row]
        yield to_line(values), values


def to_line(values: Sequence[object]) -> str:
    """Write a row as one line."""
    return json.dumps(values, separators=(",", ":"))


def _read(connection: Connection, entry: SavedColumn) -> ColumnElement[object]:
    if entry.kind is not Kind.JSON:
        return column(entry.name, TYPES[entry.kind])
    # As text, which tells JSON's null from NULL and keeps the order of the members.
    if connection.dialect.name == "postgresql":
        return cast(column(entry.name), Text)
    return column(entry.name, Text)


def _ordered(connection: Connection, saved: SavedTable, name: str) -> ColumnElement[Any]:
    """Order text by its bytes, as SQLite and our MariaDB tables do anyway."""
    kind = saved.columns[saved.place(name)].kind
    if kind is Kind.TEXT and connection.dialect.name == "postgresql":
        return collate(column(name, String), "C")
    return column(name)


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode("ascii")
    return value


def decoded(kind: Kind, value: object) -> object:
    """Return what `_encoded` was given; JSON's own null is told from NULL."""
    if value is None:
        return None
    if kind is Kind.TIME:
        return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if kind is Kind.BYTES:
        return base64.b64decode(str(value))
    if kind is Kind.JSON:
        document = json.loads(str(value))
        return JSON.NULL if document is None else document
    return value
