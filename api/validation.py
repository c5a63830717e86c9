"""Turn marshmallow's nested messages into flat complaints with pointers and codes."""

from collections.abc import Iterator, Mapping

from core.errors import FieldError, InvalidInputError

SCHEMA_KEY = "_schema"
LONGEST_NAME = 100
CODES = {
    "Missing data for required field.": "required",
    "Unknown field.": "unknown_field",
    "Field may not be null.": "null",
    "Invalid input type.": "invalid_type",
}


def field_errors(messages: object, *, query: bool = False) -> list[FieldError]:
    """Flatten `messages`; pointers are JSON pointers, or `?name` for query parameters."""
    return list(dict.fromkeys(_flatten(messages, (), query=query)))


def refuse(errors: list[FieldError]) -> None:
    """Raise one refusal that carries all `errors`, if there are any."""
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)


def pointer(path: tuple[str, ...], *, query: bool = False) -> str:
    """Write `path` as a JSON pointer (RFC 6901), or as `?name` for a query parameter.

    Which entry of a list in a query is meant is left out: a list is written as one parameter.
    """
    if query:
        return f"?{path[0]}" if path else "?"
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)


def _flatten(messages: object, path: tuple[str, ...], *, query: bool) -> Iterator[FieldError]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            name = str(key)[:LONGEST_NAME]
            yield from _flatten(inner, path if name == SCHEMA_KEY else (*path, name), query=query)
    elif isinstance(messages, list | tuple):
        for message in messages:
            yield from _flatten(message, path, query=query)
    else:
        text = str(messages)
        yield FieldError(pointer(path, query=query), _code(text), text)


def _code(message: str) -> str:
    if message in CODES:
        return CODES[message]
    return "invalid_type" if message.startswith("Not a valid") else "invalid"
