"""Make marshmallow take JSON at its word: `1` is not true and `"5"` is not a number."""

from collections.abc import Iterator
from typing import Any

from marshmallow import Schema, fields

AnyField = fields.Field[Any]  # Any: fields of every type


class _Exactly(set[object]):
    """Holds one value and nothing that merely equals it, as 1 equals True."""

    def __init__(self, value: object) -> None:
        super().__init__([value])
        self._value = value

    def __contains__(self, item: object) -> bool:
        return item is self._value


def take_literally(schema: Schema | None) -> Schema | None:
    """Tighten the fields of a body's schema, nested ones included, and return it."""
    for field in _all_fields(schema, set()):
        if isinstance(field, fields.Boolean):
            field.truthy, field.falsy = _Exactly(True), _Exactly(False)
        elif isinstance(field, fields.Integer):
            field.strict = True
    return schema


def _all_fields(schema: Schema | None, seen: set[int]) -> Iterator[AnyField]:
    if schema is None or id(schema) in seen:
        return
    seen.add(id(schema))
    for field in schema.load_fields.values():
        yield from _with_inner(field, seen)


def _with_inner(field: AnyField, seen: set[int]) -> Iterator[AnyField]:
    yield field
    if isinstance(field, fields.List):
        yield from _with_inner(field.inner, seen)
    elif isinstance(field, fields.Nested):
        yield from _all_fields(field.schema, seen)
