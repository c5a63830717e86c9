"""Where the API lives and how addresses are read."""

from flask import Flask
from werkzeug.routing import IntegerConverter, Map

API_PREFIX = "/api/v1"
LARGEST_NUMBER = 2**31 - 1


class BoundedInteger(IntegerConverter):
    """`<int:number>` up to 2^31 - 1, the largest every database engine can look up.

    Werkzeug's own reads digits without end: 5,000 of them were a ValueError, 20 an overflow in
    the database, and both a 500. Anything larger is simply not found.
    """

    regex = r"\d{1,10}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_NUMBER)


def configure(app: Flask) -> None:
    """Answer 404 to trailing and doubled slashes instead of redirecting."""
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.url_map.converters["int"] = BoundedInteger


def is_api_path(path: str) -> bool:
    """Tell whether `path` belongs to the API."""
    return path == API_PREFIX or path.startswith(f"{API_PREFIX}/")
