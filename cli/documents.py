"""JSON documents for scripts."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.clock import isoformat
from core.texts import printable_json

NOT_ON_THE_WIRE = ("version",)


def to_json(document: object) -> str:
    """Return the JSON text of a document; dataclasses have the fields that the API shows."""
    return printable_json(json.dumps(_plain(document), indent=2, ensure_ascii=False))


def fields_of(value: Any) -> dict[str, object]:  # Any: some dataclass
    """Return the fields of a dataclass that go by the wire."""
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names if name not in NOT_ON_THE_WIRE}


def _plain(value: object) -> object:
    """Return `value` as JSON has it; rows become the number or the name they go by."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(fields_of(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime):
        return isoformat(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return getattr(value, "number", str(value))
