"""The rows of a backup file, one by one, and what is to be known of some of them."""

import json
from collections.abc import Iterator, Mapping, Sequence

from core.errors import OperationFailedError
from services.row_snapshots import SavedTable, decoded
from storage.backup_files import BackupFile, Member

Row = list[object]


def rows_in(content: bytes, saved: SavedTable) -> Iterator[tuple[str, Row]]:
    """Yield line and values of each row in one member.

    Raises:
        ValueError: a line is no row of this table.
    """
    for line in content.decode("ascii").splitlines():
        values = json.loads(line)
        if not isinstance(values, list) or len(values) != len(saved.columns):
            raise ValueError(f"no row of {saved.name}")
        yield line, values


def rows_of(
    file: BackupFile, parts: Mapping[str, Sequence[Member]], saved: SavedTable
) -> Iterator[Row]:
    """Yield the rows of a table of a file that was proven."""
    for member in parts.get(saved.name, ()):
        for _, values in rows_in(file.read(member), saved):
            yield values


def named(saved: SavedTable, row: Row) -> dict[str, object]:
    """Return a row by the names of its columns, as the program has the values."""
    return {
        entry.name: decoded(entry.kind, value)
        for entry, value in zip(saved.columns, row, strict=True)
    }


def text_of(saved: SavedTable, row: Row, name: str) -> str:
    """Return a value of a row that must be text or a number, as text.

    Raises:
        OperationFailedError: there is no such column.
    """
    try:
        return str(row[saved.place(name)])
    except ValueError as error:
        raise OperationFailedError(f"{saved.name} has no column {name}.") from error
