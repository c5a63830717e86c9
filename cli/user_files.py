"""Read and write users as CSV or JSON, and name the line of every fault."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from services.contacts import ContactDetails
from services.permissions import DEFAULT_ROLE
from services.user_import import RowError, UserRecord, columns_of

COLUMNS = (
    "username",
    "email",
    "role",
    "is_active",
    "full_name",
    "phone",
    "city",
    "country",
    "organisation",
)
CONTACT_COLUMNS = COLUMNS[4:]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


class FileFormat(StrEnum):
    """How users are written."""

    CSV = "csv"
    JSON = "json"


class FileError(Exception):
    """The file as a whole cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.complaint = RowError(line, "file", message)


def read_users(text: str, file_format: FileFormat) -> tuple[list[UserRecord], list[RowError]]:
    """Return the users of a file and what is wrong with single lines.

    Raises:
        FileError: it is no such file at all.
    """
    rows = _csv_rows(text) if file_format is FileFormat.CSV else _json_rows(text)
    records, errors = [], []
    for line, row in rows:
        faults = _faults(line, row)
        errors.extend(faults)
        if not faults:
            records.append(_record(line, row))
    return records, errors


def write_users(records: Iterable[UserRecord], file_format: FileFormat) -> Iterator[str]:
    """Yield the text of a file with these users; `read_users` takes it back unchanged.

    Cells that a spreadsheet would calculate are led by an apostrophe.
    """
    if file_format is FileFormat.JSON:
        rows = [columns_of(record) for record in records]
        yield json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        return
    yield ",".join(COLUMNS) + "\n"
    for record in records:
        buffer = io.StringIO()
        values = columns_of(record)
        csv.writer(buffer, lineterminator="\n").writerow([_cell(values[name]) for name in COLUMNS])
        yield buffer.getvalue()


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    line = 1
    try:
        header = next(reader, None)
        if header is None or "username" not in header:
            raise FileError(1, "must begin with a line of column names, username among them")
        _refuse_columns(header)
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield line, _csv_row(line, header, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise FileError(line, f"is no CSV: {error}") from error


def _csv_row(line: int, header: list[str], cells: list[str]) -> Mapping[str, object]:
    if len(cells) != len(header):
        raise FileError(line, f"has {len(cells)} cells, not {len(header)}")
    return {name: _plain(cell) for name, cell in zip(header, cells, strict=True) if cell != ""}


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Walk over the array by hand, because the line of each object is wanted."""
    decoder, position = json.JSONDecoder(), _skip(text, 0)
    if text[position : position + 1] != "[":
        raise FileError(_line(text, position), "must be a JSON array of objects")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "]":
        line = _line(text, position)
        try:
            row, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            at = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise FileError(at, "is no JSON") from error
        if not isinstance(row, dict):
            raise FileError(line, "must be an object")
        yield line, {name: value for name, value in row.items() if value is not None}
        position = _after_comma(text, position)


def _after_comma(text: str, position: int) -> int:
    position = _skip(text, position)
    if text[position : position + 1] == ",":
        return _skip(text, position + 1)
    if text[position : position + 1] != "]":
        raise FileError(_line(text, position), "is no JSON: a comma or ] is missing")
    return position


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n\ufeff":
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _refuse_columns(header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or len(set(header)) != len(header):
        raise FileError(1, f"may have these columns, each once: {', '.join(COLUMNS)}")


def _faults(line: int, row: Mapping[str, object]) -> list[RowError]:
    faults = [RowError(line, name, "is unknown") for name in row if name not in COLUMNS]
    if "username" not in row:
        faults.append(RowError(line, "username", "is missing"))
    for name in COLUMNS:
        value = row.get(name)
        if name == "is_active" and value is not None and _boolean(value) is None:
            faults.append(RowError(line, name, "must be true or false"))
        elif name != "is_active" and value is not None and not isinstance(value, str):
            faults.append(RowError(line, name, "must be text"))
    return faults


def _record(line: int, row: Mapping[str, object]) -> UserRecord:
    active = _boolean(row.get("is_active", True))
    return UserRecord(
        line=line,
        username=str(row["username"]),
        email=_text(row, "email"),
        role=_text(row, "role") or DEFAULT_ROLE,
        is_active=active is not False,
        contact=ContactDetails(**{name: _text(row, name) for name in CONTACT_COLUMNS}),
    )


def _text(row: Mapping[str, object], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _plain(cell: str) -> str:
    """Undo what `_cell` did."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell
