"""What a handler's value looks like on the wire: JSON, CSV, tags and locations."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response, request
from flask.globals import request_ctx
from marshmallow import Schema
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response as WerkzeugResponse

from api.conditional import check_write_conditions, etag_of, is_not_modified
from api.dumping import dump_many, dump_one
from api.operation import Operation
from api.paging import link_header, meta
from api.routing import API_PREFIX
from core.errors import DomainError, ErrorCode
from services.paging import CursorPage, Page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
READ_METHODS = ("GET", "HEAD")
# Methods after which the thing at the address is what the answer shows.
TAGGED_METHODS = ("GET", "HEAD", "PATCH", "PUT")
NEEDS_LOCATION = (201, 202)
_LENIENCIES = (
    (re.compile(r";\s*(?!q\s*=)[^;,]*", re.IGNORECASE), ""),
    (re.compile(r"q\s*=\s*\.", re.IGNORECASE), "q=0."),
    (re.compile(r"(^|,)\s*\*\s*(?=[;,]|$)"), r"\1*/*"),
)
_CONDITIONS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A value with a status, a Location or headers of its own.

    `location` is a path below the API's prefix, such as `/sites/web`.
    """

    value: object = None
    status: int | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class CompleteResponse(Response):
    """An answer whose bytes and headers are all there: it goes out as it is.

    werkzeug copies the headers and wraps the body for what may still change or be streamed.
    """

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer; HEAD and addresses take werkzeug's way."""
        if environ["REQUEST_METHOD"] == "HEAD" or "Location" in self.headers:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return [self.get_data()]


class NotAcceptableError(DomainError):
    """The caller accepts no format that this operation has."""

    code = ErrorCode.NOT_ACCEPTABLE


def choose_media_type(operation: Operation) -> str:
    """Return the media type of the answer.

    Raises:
        NotAcceptableError: Accept excludes all of them.
    """
    offered = _offered(operation)
    accept = request_ctx.request.environ.get("HTTP_ACCEPT", "").strip()
    if not offered or accept in ("", "*/*"):
        return offered[0] if offered else JSON_TYPE
    chosen = request.accept_mimetypes.best_match(offered) or _leniently(accept).best_match(offered)
    if chosen is None:
        raise NotAcceptableError(f"This is available as {' or '.join(offered)}.")
    return chosen


def _leniently(accept: str) -> MIMEAccept:
    """Read what is common but not to the letter: `*` alone, `q=.2`, and `charset`.

    Java asks like that, and many name the charset, which JSON has no choice of (RFC 8259).
    """
    for pattern, plain in _LENIENCIES:
        accept = pattern.sub(plain, accept)
    return parse_accept_header(accept, MIMEAccept)


@cache
def _offered(operation: Operation) -> Sequence[str]:
    """Return the media types an operation has; worked out once for each."""
    if operation.produces is not None:
        return () if operation.produces == "*/*" else (operation.produces,)
    schemas = [operation.response, *operation.statuses.values()]
    if all(schema is None for schema in schemas):
        return ()
    return (JSON_TYPE, CSV_TYPE) if operation.csv else (JSON_TYPE,)


def render(operation: Operation, result: object) -> WerkzeugResponse:
    """Turn what a handler returned into the response; streams and files pass through."""
    if isinstance(result, WerkzeugResponse):
        return result
    answer = result if isinstance(result, Answer) else Answer(value=result)
    status = answer.status or operation.status
    response = _body_response(operation.schema_for(status), answer.value, status)
    if status in NEEDS_LOCATION and answer.location is None:
        raise RuntimeError(f"{status} without a location")
    if answer.location is not None:
        response.headers["Location"] = f"{API_PREFIX}{answer.location}"
    if answer.headers:
        response.headers.update(answer.headers)
    return _with_tag(response)


def dump(schema: Schema, value: object) -> bytes:
    """Return the JSON of `value` as callers see it."""
    if isinstance(value, Page | CursorPage):
        document: Any = {"items": dump_many(schema, value.items), "meta": meta(value)}
    else:
        document = dump_one(schema, value)
    return orjson.dumps(document)


def _body_response(schema: Schema | None, value: object, status: int) -> Response:
    if schema is None:
        response = Response(status=status)
        response.headers.pop("Content-Type", None)
        return response
    response = CompleteResponse(dump(schema, value), status=status, content_type=JSON_TYPE)
    if isinstance(value, Page | CursorPage) and (links := link_header(value)):
        response.headers["Link"] = links
    return response


def _with_tag(response: Response) -> Response:
    """Tag the representation that lies at the address, and spare callers who have it."""
    asked = request_ctx.request
    if asked.method not in TAGGED_METHODS or response.status_code != 200:
        return response
    tag = etag_of(response.get_data())
    response.headers.add("ETag", f'"{tag}"')
    response.headers.add("Cache-Control", "private, no-cache")
    if asked.method in READ_METHODS and asked.environ.keys() & _CONDITIONS:
        if "If-Match" in asked.headers:
            check_write_conditions(tag)
        if is_not_modified(tag):
            return _not_modified(response)
    return response


def _not_modified(response: Response) -> Response:
    answer = Response(status=304)
    answer.headers.pop("Content-Type", None)
    for name in ("ETag", "Cache-Control", "Link"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer
