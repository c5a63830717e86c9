"""Lists on the wire: what callers may ask for, `meta`, and the Link header."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, ValidationError, fields, validate

from services.paging import (
    DEFAULT_PER_PAGE,
    MAX_PER_PAGE,
    CursorPage,
    CursorRequest,
    Page,
    PageRequest,
)

LAST_PAGE = 1_000_000
LONGEST_SEARCH = 200


class QueryInteger(fields.Integer):
    """An integer in a query string: plain ASCII digits, nothing that int() also accepts."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:  # Any: marshmallow's signature
        digits = str(value).removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 16:
            raise self.make_error("invalid")
        return int(value)


class SortField(fields.String):
    """An order such as `-created_at,name`, from an allow-list."""

    def __init__(self, *allowed: str, default: str = "-created_at") -> None:
        self.allowed = allowed
        refusal = f"Must be made of: {', '.join(allowed)}."
        super().__init__(
            load_default=default,
            validate=[validate.Regexp(_order_pattern(allowed), error=refusal), self._check],
            metadata={
                "description": f"Order, `-` for descending: {', '.join(allowed)}.",
                "example": default,
            },
        )

    def _check(self, value: str) -> None:
        names = [word.removeprefix("-") for word in value.split(",")]
        if len(set(names)) != len(names):
            raise ValidationError("Each name counts only once.")


def _order_pattern(allowed: tuple[str, ...]) -> str:
    name = f"-?({'|'.join(allowed)})"
    return f"^{name}(,{name})*$"


class SearchField(fields.String):
    """Words to look for in the columns named by `columns`."""

    def __init__(self, columns: str) -> None:
        super().__init__(
            validate=validate.Length(max=LONGEST_SEARCH),
            metadata={"description": f"Words to look for in {columns}.", "example": "web"},
        )


class PageQuery(Schema):
    """Numbered pages; lists add `sort = SortField(...)`, `q = SearchField(...)` and filters."""

    page = QueryInteger(
        load_default=1,
        validate=validate.Range(1, LAST_PAGE),
        metadata={"description": "Number of the page, from 1."},
    )
    per_page = QueryInteger(
        load_default=DEFAULT_PER_PAGE,
        validate=validate.Range(1, MAX_PER_PAGE),
        metadata={"description": "Rows in a page."},
    )


class CursorQuery(Schema):
    """Histories, newest first, from a cursor on."""

    cursor = fields.String(
        validate=validate.Length(1, 200),
        metadata={"description": "`meta.next_cursor` of the answer before."},
    )
    per_page = QueryInteger(
        load_default=DEFAULT_PER_PAGE,
        validate=validate.Range(1, MAX_PER_PAGE),
        metadata={"description": "Rows in an answer."},
    )


def take_page(query: dict[str, Any]) -> PageRequest:
    """Take the parts that say which page out of the loaded query."""
    names = ("page", "per_page", "sort", "q")
    return PageRequest(**{name: query.pop(name) for name in names if name in query})


def take_cursor(query: dict[str, Any]) -> CursorRequest:
    """Take the parts that say where in a history out of the loaded query."""
    names = ("cursor", "per_page")
    return CursorRequest(**{name: query.pop(name) for name in names if name in query})


def meta(page: Page[Any] | CursorPage[Any]) -> dict[str, object]:
    """Return what a list tells about itself."""
    if isinstance(page, CursorPage):
        return {"next_cursor": page.next_cursor}
    return {
        "page": page.page,
        "per_page": page.per_page,
        "total": page.total,
        "next": page.next,
    }


def link_header(page: Page[Any] | CursorPage[Any]) -> str:
    """Return the neighbours of this answer (RFC 8288), keeping the other parameters."""
    if isinstance(page, CursorPage):
        place = _place("cursor")
        targets: dict[str, str | int | None] = {"next": page.next_cursor}
    else:
        place = _place("page")
        targets = {"first": 1, "prev": page.page - 1, "next": page.next, "last": page.last}
    return ", ".join(
        f'<{place}{value}>; rel="{relation}"' for relation, value in targets.items() if value
    )


def _place(name: str) -> str:
    """Return the address of this list up to the value of `name`."""
    pairs = [(key, given) for key, given in request.args.items(multi=True) if key != name]
    return f"{request.path}?{urlencode([*pairs, (name, '')])}"
