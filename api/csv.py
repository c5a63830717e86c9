"""Whole lists as CSV: streamed in pieces, bounded, and harmless in a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from flask import Response, stream_with_context

from api.operation import Operation
from services.paging import CursorPage, CursorRequest, Page, PageRequest

MAX_ROWS = 100_000
ROWS_AT_ONCE = 1_000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
MEDIA_TYPE = "text/csv"


def stream(
    operation: Operation, handler: Callable[..., Any], arguments: dict[str, Any]
) -> Response:
    """Answer with all rows of a list; the first piece is read before the answer begins.

    A thing that is no list is one row.
    """
    pieces = _pieces(handler, arguments)
    first = next(pieces)
    schema = operation.response
    if schema is None:
        raise TypeError("a list needs the schema of its items")
    columns = [field.data_key or name for name, field in schema.dump_fields.items()]

    def lines() -> Iterator[str]:
        yield _lines([columns])
        for items in _chain(first, pieces):
            documents: list[dict[str, Any]] = schema.dump(items, many=True)
            yield _lines([[_cell(row.get(name)) for name in columns] for row in documents])

    response = Response(stream_with_context(lines()), mimetype=MEDIA_TYPE)
    response.headers["Content-Disposition"] = 'attachment; filename="export.csv"'
    return response


def _pieces(handler: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[list[Any]]:
    if "page" not in arguments:
        yield [handler(**arguments)]
        return
    request: PageRequest | CursorRequest = arguments["page"]
    if isinstance(request, PageRequest):
        request = replace(request, page=1)
    left = MAX_ROWS
    while left > 0:
        size = min(ROWS_AT_ONCE, left)
        page = handler(**{**arguments, "page": _sized(request, size)})
        items = list(page.items)
        yield items
        left -= len(items)
        following = _following(request, page, full=len(items) == size)
        if following is None:
            return
        request = following


def _sized(request: PageRequest | CursorRequest, size: int) -> PageRequest | CursorRequest:
    if isinstance(request, CursorRequest):
        return replace(request, per_page=size)
    return replace(request, per_page=size, count=False)


def _following(
    request: PageRequest | CursorRequest, page: Page[Any] | CursorPage[Any], *, full: bool
) -> PageRequest | CursorRequest | None:
    if isinstance(request, CursorRequest) and isinstance(page, CursorPage):
        return replace(request, cursor=page.next_cursor) if page.next_cursor else None
    if isinstance(request, PageRequest) and full:
        return replace(request, page=request.page + 1)
    return None


def _chain(first: list[Any], rest: Iterator[list[Any]]) -> Iterator[list[Any]]:
    yield first
    yield from rest


def _lines(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
