"""Read query strings strictly: unknown and repeated parameters are refused."""

from functools import lru_cache
from typing import Any

from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict

from api.validation import field_errors, pointer
from core.errors import FieldError

LONGEST_NAME = 100


def load_query(
    schema: Schema | None, arguments: MultiDict[str, str]
) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the loaded parameters, or what is wrong with them.

    A list is given by repeating its parameter or with commas.
    """
    schema = schema or _NOTHING
    values, errors = _collect(schema, arguments) if arguments else ({}, [])
    if errors:
        return {}, errors
    try:
        return dict(schema.load(values) if values else _defaults(schema)), []
    except ValidationError as error:
        return {}, field_errors(error.messages, query=True)


@lru_cache(maxsize=512)
def _defaults(schema: Schema) -> dict[str, Any]:
    """Return what an empty query means; most are empty."""
    return dict(schema.load({}))


class _Nothing(Schema):
    """No parameter at all."""


_NOTHING = _Nothing()


def _collect(
    schema: Schema, arguments: MultiDict[str, str]
) -> tuple[dict[str, object], list[FieldError]]:
    lists = {
        field.data_key or name
        for name, field in schema.fields.items()
        if isinstance(field, fields.List)
    }
    values: dict[str, object] = {}
    errors: list[FieldError] = []
    for name, given in arguments.lists():
        where = pointer((name[:LONGEST_NAME],), query=True)
        if any("\x00" in value for value in given):
            errors.append(FieldError(where, "invalid_text", "Text must not contain NUL."))
        elif name in lists:
            values[name] = [word for value in given for word in value.split(",") if word]
        elif len(given) > 1:
            errors.append(FieldError(where, "duplicate_name", "Given more than once."))
        else:
            values[name] = given[0]
    return values, errors
