"""Pages of rows: ordered, bounded and stable while rows come and go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy import Row as RowOf
from sqlalchemy.orm import InstrumentedAttribute

from core.errors import InvalidInputError
from models.engine import db

Row = TypeVar("Row")
Column = InstrumentedAttribute[Any] | ColumnElement[Any]  # Any: columns of every type

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 20
LIKE_ESCAPE = "\\"


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """Which page is wanted, in which order, matching which words.

    `count` is False where nobody will see the total, as when all rows are exported.
    """

    page: int = 1
    per_page: int = DEFAULT_PER_PAGE
    sort: str | None = None
    q: str | None = None
    count: bool = True


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Row]):
    """Rows of one page and how many there are altogether."""

    items: Sequence[Row]
    total: int
    page: int
    per_page: int

    @property
    def last(self) -> int:
        """The number of the last page; 1 when there are no rows."""
        return max(1, -(-self.total // self.per_page))

    @property
    def next(self) -> int | None:
        """The number of the next page, or None on the last one."""
        return self.page + 1 if self.page < self.last else None

    def with_items(self, items: Sequence[Any]) -> "Page[Any]":
        """Return this page with other things for its rows, such as views of them."""
        return replace(self, items=items)


@dataclass(frozen=True, kw_only=True)
class CursorRequest:
    """Which part of a history is wanted; `cursor` is what the last answer gave as next."""

    cursor: str | None = None
    per_page: int = DEFAULT_PER_PAGE


@dataclass(frozen=True, kw_only=True)
class CursorPage(Generic[Row]):
    """A part of a history and where to go on, None at its end."""

    items: Sequence[Row]
    next_cursor: str | None

    def with_items(self, items: Sequence[Any]) -> "CursorPage[Any]":
        """Return this page with other things for its rows, such as views of them."""
        return replace(self, items=items)


def paginate(
    statement: Select[Row],
    request: PageRequest,
    *,
    sortable: Mapping[str, Column],
    tiebreak: Column,
    default: str = "-created_at",
) -> Page[Row]:
    """Run `statement` for one page, in the order asked for and then by `tiebreak`.

    Args:
        sortable: the names that callers may sort by; anything else is refused, because sorting
            by an arbitrary column tells its values.

    Raises:
        InvalidInputError: the order names something else.
    """
    order = ordering(request.sort or default, sortable=sortable, tiebreak=tiebreak)
    items = list(db.session.scalars(_part(statement, request, order)).unique())
    return _page(statement, request, items)


def paginate_rows(
    statement: Select[Any],  # Any: columns of every type
    request: PageRequest,
    *,
    sortable: Mapping[str, Column],
    tiebreak: Column,
    default: str = "-created_at",
) -> Page[RowOf[Any]]:
    """Do what `paginate` does for a statement of several columns.

    Raises:
        InvalidInputError: the order names something else than `sortable` does.
    """
    order = ordering(request.sort or default, sortable=sortable, tiebreak=tiebreak)
    return _page(
        statement, request, list(db.session.execute(_part(statement, request, order)).all())
    )


def _part(
    statement: Select[Row], request: PageRequest, order: Sequence[ColumnElement[Any]]
) -> Select[Row]:
    offset = (request.page - 1) * request.per_page
    return statement.order_by(None).order_by(*order).limit(request.per_page).offset(offset)


def _page(statement: Select[Any], request: PageRequest, items: Sequence[Row]) -> Page[Row]:
    return Page(
        items=items,
        total=_total(statement, request, shown=(request.page - 1) * request.per_page + len(items)),
        page=request.page,
        per_page=request.per_page,
    )


def cursor_page(
    statement: Select[Row], request: CursorRequest, *, key: InstrumentedAttribute[int]
) -> CursorPage[Row]:
    """Run `statement` newest first by the integer `key`, after the cursor.

    Raises:
        InvalidInputError: the cursor is not one of ours.
    """
    statement = statement.order_by(None).order_by(key.desc())
    if request.cursor is not None:
        statement = statement.where(key < _position(request.cursor))
    rows = list(db.session.scalars(statement.limit(request.per_page + 1)).unique())
    shown = rows[: request.per_page]
    more = len(rows) > request.per_page
    return CursorPage(items=shown, next_cursor=str(getattr(shown[-1], key.key)) if more else None)


def matching(q: str | None, *columns: Column) -> ColumnElement[bool] | None:
    """Return the condition that one of `columns` contains `q`, or None without words.

    Wildcards of LIKE in `q` stand for themselves.
    """
    words = (q or "").strip()
    if not words:
        return None
    escaped = words
    for char in (LIKE_ESCAPE, "%", "_"):
        escaped = escaped.replace(char, LIKE_ESCAPE + char)
    lowered = f"%{escaped.lower()}%"
    return or_(*(func.lower(column).like(lowered, escape=LIKE_ESCAPE) for column in columns))


def ordering(
    sort: str, *, sortable: Mapping[str, Column], tiebreak: Column
) -> list[ColumnElement[Any]]:
    """Return the order that `sort` asks for, and then by `tiebreak`.

    Raises:
        InvalidInputError: the order names something else than `sortable` does.
    """
    order: list[ColumnElement[Any]] = []
    descending = False
    for position, word in enumerate(sort.split(",")):
        name = word.removeprefix("-")
        if name not in sortable:
            raise InvalidInputError.field(
                "?sort", f"Sort by one of: {', '.join(sorted(sortable))}.", code="invalid_choice"
            )
        order.append(sortable[name].desc() if word != name else sortable[name].asc())
        descending = word != name if position == 0 else descending
    order.append(tiebreak.desc() if descending else tiebreak.asc())
    return order


def _total(statement: Select[Any], request: PageRequest, *, shown: int) -> int:
    if not request.count:
        return shown
    rows = statement.order_by(None).subquery()
    return db.session.scalar(select(func.count()).select_from(rows)) or 0


def _position(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InvalidInputError.field("?cursor", "This is not a cursor of this list.")
    return int(cursor)
