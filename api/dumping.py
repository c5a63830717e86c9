"""Write values by their schemas: what `Schema.dump` does, without its general machinery.

Each field still writes its own value; only the way there is shorter: the fields of a schema are
looked up once, and text, numbers and flags pass as they are. Schemas with hooks, computed
fields or a way of their own to get at values take marshmallow's.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

from marshmallow import Schema, fields, missing

_PLAIN = {fields.String: str, fields.Integer: int, fields.Boolean: bool}
_GENERAL = (fields.Method, fields.Function, fields.Constant, fields.Pluck)
Writer = Callable[[Any], dict[str, Any]]  # Any: whatever the schema describes


def dump_one(schema: Schema, value: Any) -> Any:
    """Return what `schema.dump(value)` returns."""
    writer = _writer(schema)
    if writer is None or isinstance(value, dict):
        return schema.dump(value)
    return writer(value)


def dump_many(schema: Schema, values: Any) -> list[Any]:
    """Return what `schema.dump(values, many=True)` returns."""
    writer = _writer(schema)
    if writer is None:
        return list(schema.dump(values, many=True))
    return [schema.dump(value) if isinstance(value, dict) else writer(value) for value in values]


@lru_cache(maxsize=512)
def _writer(schema: Schema) -> Writer | None:
    """Return the short way for a schema, None when only the general one will do."""
    if not _is_simple(schema):
        return None
    plan = []
    for name, field in schema.dump_fields.items():
        path = field.attribute or name
        key = field.data_key if field.data_key is not None else name
        # Only exactly these classes: a subclass may write its values differently.
        plain = _PLAIN.get(type(field))
        plan.append((key, path, plain, field))
    if len(plan) < 2:  # attrgetter of one name returns no tuple
        return None
    get_all = attrgetter(*(path for _, path, _, _ in plan))

    def write(value: Any) -> dict[str, Any]:
        document: dict[str, Any] = {}
        try:
            found = get_all(value)
        except AttributeError:  # what is not there is not written; marshmallow finds out what
            return dict(schema.dump(value))
        for (key, path, plain, field), given in zip(plan, found, strict=True):
            if given is None or type(given) is plain:
                document[key] = given
            else:
                document[key] = field._serialize(given, path, value)  # noqa: SLF001  # its hook
        return document

    return write


def _is_simple(schema: Schema) -> bool:
    """Tell whether every value of a schema is read by its name and written by its field."""
    if schema.many or type(schema).get_attribute is not Schema.get_attribute:
        return False
    if any(schema._hooks.values()):  # noqa: SLF001  # hooks have no public name
        return False
    return not any(
        isinstance(field, _GENERAL) or field.dump_default is not missing
        for field in schema.dump_fields.values()
    )
