"""How an installation backup is laid out: its first member, its summary and its names.

`backup.json` says what made it and what the tables look like. Then come `rows/<table>/<part>`,
`manifests/<site id>/<digest>.json`, `environments/<site id>/<name>.json` and `contents/<sha256>`,
each content once. `summary.json` counts and hashes, `seal.json` seals the summary.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from services.row_snapshots import Kind, SavedColumn, SavedTable

FORMAT = 1
HEADER = "backup.json"
ROWS, MANIFESTS, ENVIRONMENTS, CONTENTS = "rows", "manifests", "environments", "contents"


class Scope(StrEnum):
    """How much of an installation is inside."""

    FULL = "full"
    ROWS = "rows"


class FormatError(Exception):
    """The member is not one that this version can read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first member."""

    scope: Scope
    relevo: str
    created_at: str
    engine: str
    revision: str
    keys: Mapping[str, list[str]]
    tables: tuple[SavedTable, ...]
    format: int = FORMAT

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Header":
        """Read what `to_json` wrote.

        Raises:
            FormatError: it is no header, or one of a newer version.
        """
        try:
            document = json.loads(content)
            number = document["format"]
            if number != FORMAT:
                raise FormatError(
                    f"The backup has format {number}, written by Relevo {document['relevo']}; "
                    f"this version reads format {FORMAT}. Use that version or a newer one."
                )
            tables = tuple(_table(entry) for entry in document.pop("tables"))
            scope = Scope(document.pop("scope"))
            return cls(scope=scope, tables=tables, **document)
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError("This file is no backup of an installation.") from error


@dataclass(frozen=True, kw_only=True)
class TableCount:
    """What a table holds."""

    rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file that could not be saved, because it is missing or not what it should be."""

    site: str
    release: int
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The member before the last: what all others were."""

    tables: Mapping[str, TableCount]
    sites: int = 0
    releases: int = 0
    environments: int = 0
    contents: int = 0
    content_bytes: int = 0
    damaged: tuple[Damage, ...] = ()
    members: int = 0
    inventory: str = field(default="")

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Summary":
        """Read what `to_json` wrote.

        Raises:
            FormatError: it is no summary.
        """
        try:
            document = json.loads(content)
            tables = {name: TableCount(**it) for name, it in document.pop("tables").items()}
            damaged = tuple(Damage(**it) for it in document.pop("damaged"))
            return cls(tables=tables, damaged=damaged, **document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError("The summary of the backup is damaged.") from error


def rows_name(table: str, part: int) -> str:
    """Return the name of a part of a table."""
    return f"{ROWS}/{table}/{part:06}.jsonl"


def manifest_name(site_id: int, digest: str) -> str:
    """Return the name of a manifest."""
    return f"{MANIFESTS}/{site_id}/{digest}.json"


def environment_name(site_id: int, name: str) -> str:
    """Return the name of what an environment shows."""
    return f"{ENVIRONMENTS}/{site_id}/{name}.json"


def content_name(sha256: str) -> str:
    """Return the name of a content."""
    return f"{CONTENTS}/{sha256}"


def _table(document: Mapping[str, object]) -> SavedTable:
    columns = document["columns"]
    key = document["key"]
    if not isinstance(columns, list) or not isinstance(key, list):
        raise TypeError("no table")
    described = tuple(SavedColumn(str(it["name"]), Kind(it["kind"])) for it in columns)
    return SavedTable(str(document["name"]), described, tuple(map(str, key)))
