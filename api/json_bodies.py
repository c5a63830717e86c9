"""Read JSON bodies strictly: what one parser accepts and another does not is refused.

Order: media type 415, size 413, syntax 400, then what JSON allows but no engine stores alike:
depth, integers beyond 2^53, infinities, lone surrogates, NUL and repeated names, all 422.
"""

import json
import math
from typing import Any, NoReturn

from flask import Request

from api.body_stream import BodyStream, BrokenBodyError
from api.validation import pointer
from core.errors import (
    DomainError,
    ErrorCode,
    FieldError,
    InvalidInputError,
    LimitExceededError,
    UnavailableError,
)
from core.waiting import waiting_place

MAX_DEPTH = 32
LARGEST_INTEGER = 2**53
LONGEST_INTEGER = len(str(-LARGEST_INTEGER))
JSON_TYPE = "application/json"
CHUNK_BYTES = 64 * 1024


class UnsupportedBodyError(DomainError):
    """The body has a Content-Type that this operation does not read."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class MalformedJsonError(DomainError):
    """The body is not JSON in UTF-8."""

    code = ErrorCode.MALFORMED_JSON


def read_json(request: Request, *, max_bytes: int) -> object:
    """Return the parsed body; no body at all counts as `{}`.

    Raises:
        UnsupportedBodyError: 415.
        LimitExceededError: 413, without reading more than the limit, also when chunked.
        MalformedJsonError: 400.
        InvalidInputError: 422.
    """
    if request.content_length == 0:
        return {}
    if request.mimetype and (request.content_length or "Transfer-Encoding" in request.headers):
        _check_media_type(request)
    data = _read_limited(request, max_bytes)
    if not data:
        return {}
    _check_media_type(request)
    value = _parse(data)
    _inspect(value, (), 1)
    return value


def _check_media_type(request: Request) -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != JSON_TYPE or charset not in ("utf-8", "utf8"):
        raise UnsupportedBodyError("Send the body as application/json in UTF-8.")


def _read_limited(request: Request, max_bytes: int) -> bytes:
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes, request.content_length)
    if "Transfer-Encoding" not in request.headers:
        return _read(request, max_bytes)
    with waiting_place() as granted:  # chunks come when the client likes, and hold a thread
        if not granted:
            raise UnavailableError("Too many wait here just now; send a Content-Length.")
        return _read(request, max_bytes)


def _read(request: Request, max_bytes: int) -> bytes:
    stream, data = BodyStream(request), bytearray()
    try:
        while chunk := stream.read(min(CHUNK_BYTES, max_bytes + 1 - len(data))):
            data += chunk
            if len(data) > max_bytes:
                raise _too_large(max_bytes, None)
    except BrokenBodyError as error:
        raise MalformedJsonError(error.detail) from error
    return bytes(data)


def _too_large(limit: int, actual: int | None) -> LimitExceededError:
    return LimitExceededError.of(
        f"The body is larger than {limit} bytes.",
        limit=limit,
        actual=actual,
        setting="MAX_JSON_BYTES",
    )


def _parse(data: bytes) -> object:
    try:
        return json.loads(
            data.decode(),
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except ValueError as error:
        raise MalformedJsonError("The body is not valid JSON in UTF-8.") from error
    except RecursionError:
        raise _refused("", "too_deep", f"Nested deeper than {MAX_DEPTH}.") from None


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER or abs(int(text)) > LARGEST_INTEGER:
        raise _refused("", "number_range", "An integer is beyond 2^53.")
    return int(text)


def _refuse_constant(_name: str) -> NoReturn:
    raise _refused("", "number_range", "NaN and Infinity are not numbers here.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: values of any JSON type
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _refused("", "duplicate_name", "A name is given twice in one object.")
    return value


def _inspect(value: object, path: tuple[str, ...], depth: int) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refused(pointer(path), "number_range", "The number is too large.")
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise _refused("", "too_deep", f"Nested deeper than {MAX_DEPTH}.")
        _inspect_inside(value, path, depth)


def _inspect_inside(
    value: dict[str, object] | list[object], path: tuple[str, ...], depth: int
) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name, path)
            _inspect(inner, (*path, name), depth + 1)
    else:
        for index, inner in enumerate(value):
            _inspect(inner, (*path, str(index)), depth + 1)


def _check_text(text: str, path: tuple[str, ...]) -> None:
    if "\x00" in text:
        raise _refused(pointer(path), "invalid_text", "Text must not contain NUL.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise _refused(pointer(path), "invalid_text", "Text must not contain lone surrogates.")


def _refused(where: str, code: str, message: str) -> InvalidInputError:
    return InvalidInputError("The input was refused.", errors=[FieldError(where, code, message)])
