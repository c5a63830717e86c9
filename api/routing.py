"""Where the API lives and how addresses are read."""

from flask import Flask, request
from werkzeug.routing import BaseConverter, IntegerConverter, Map

from core.errors import NotFoundError

API_PREFIX = "/api/v1"
LARGEST_NUMBER = 2**31 - 1


class BoundedInteger(IntegerConverter):
    """`<int:number>` up to 2^31 - 1, the largest every database engine can look up.

    Werkzeug's own reads digits without end: 5,000 of them were a ValueError, 20 an overflow in
    the database, and both a 500. Anything larger is simply not found.
    """

    regex = r"0|[1-9][0-9]{0,9}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_NUMBER)


class OpaqueId(BaseConverter):
    """`<opaque:id>` where another address has a short word in the place of the id.

    Left out, OPTIONS and 405 of `/tokens/self` would name the methods of `/tokens/<id>` too.
    """

    regex = "[A-Za-z0-9_-]{5,}"


def configure(app: Flask) -> None:
    """Answer 404 to trailing and doubled slashes instead of redirecting, and read numbers well."""
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.url_map.converters["int"] = BoundedInteger
    app.url_map.converters["opaque"] = OpaqueId
    app.before_request(_refuse_nul)


def _refuse_nul() -> None:
    """Answer 404 to NUL in an address: PostgreSQL would make a 500 of it."""
    if "\x00" in request.path:
        raise NotFoundError("There is nothing at this address.")


def is_api_path(path: str) -> bool:
    """Tell whether `path` belongs to the API."""
    return path == API_PREFIX or path.startswith(f"{API_PREFIX}/")
