"""Headers that every answer carries: request id, security, CORS, what caches may keep."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, g
from werkzeug.http import parse_set_header
from werkzeug.wsgi import ClosingIterator

from api.routing import API_PREFIX, is_api_path
from core.extensions import cors
from core.logs import new_request_id, set_request_id
from core.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

REQUEST_ID_HEADER = "X-Request-ID"
EXPOSED_HEADERS = [
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    REQUEST_ID_HEADER,
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Idempotency-Replayed",
]
ALLOWED_HEADERS = [
    "Accept",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    REQUEST_ID_HEADER,
]
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
PREFLIGHT_SECONDS = 600
_FOR_ALL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FOR_DATA = {"Content-Security-Policy": DATA_POLICY}
_FOR_PAGES = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HSTS = "max-age=31536000"  # a year
FURTHER_HEADERS = "relevo.further_headers"
"""In the environ of a request: headers of its answer, as a list of names and values."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def register(app: Flask, settings: Settings) -> None:
    """Install request ids, security headers and CORS."""
    app.wsgi_app = Envelope(app.wsgi_app, settings)  # type: ignore[method-assign]  # Flask's advice
    if settings.cors_origins:  # Flask-Cors takes an empty list for everybody
        _allow_origins(app, settings)


def _allow_origins(app: Flask, settings: Settings) -> None:
    cors.init_app(
        app,
        resources={f"{API_PREFIX}/*": {"origins": list(settings.cors_origins)}},
        expose_headers=EXPOSED_HEADERS,
        allow_headers=ALLOWED_HEADERS,
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        max_age=PREFLIGHT_SECONDS,
        supports_credentials=False,
        always_send=False,
    )


class Envelope:
    """Gives each request an id before anything else looks at it, and each answer its headers.

    A hook of Flask would be too late: what fails before it, and what a thread logs between two
    requests, would carry the id of an earlier request. Headers are added as the plain list that
    goes to the server, which takes a tenth of the time of asking werkzeug for each name.
    """

    def __init__(self, application: "WSGIApplication", settings: Settings) -> None:
        self._application = application
        transport = {"Strict-Transport-Security": _HSTS} if settings.is_https else {}
        self._data = _with_lower_names({**_FOR_ALL, **transport, **_FOR_DATA})
        self._page = _with_lower_names({**_FOR_ALL, **transport, **_FOR_PAGES})
        # The origin also counts for callers that sent none.
        self._vary = ("Accept", "Authorization", *(["Origin"] if settings.cors_origins else []))

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request.

        The caller's own id counts when it is a plain word.
        """
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
        set_request_id(request_id)

        def start(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            path = f"/{environ['PATH_INFO'].lstrip('/')}"
            headers = [*headers, *environ.get(FURTHER_HEADERS, ())]
            complete = self._complete(headers, request_id, for_api=is_api_path(path))
            return start_response(status, complete, exc_info)

        try:
            answer = self._application(environ, start)
        except BaseException:
            _forget()
            raise
        if isinstance(answer, list):  # complete: nothing of ours runs any more
            _forget()
            return answer
        return ClosingIterator(answer, _forget)

    def _complete(self, headers: Headers, request_id: str, *, for_api: bool) -> Headers:
        """Return the headers of an answer with all that it did not set itself."""
        given = {name.lower(): value for name, value in headers}
        is_page = given.get("content-type", "").startswith("text/html")
        wanted = self._page if is_page else self._data
        complete = [(REQUEST_ID_HEADER, request_id)]
        complete += [pair for lower, pair in wanted if lower not in given]
        if not for_api:
            return headers + complete
        if "cache-control" not in given:
            complete.append(("Cache-Control", "no-store"))
        if "vary" not in given:
            return [*headers, *complete, ("Vary", ", ".join(self._vary))]
        others = [pair for pair in headers if pair[0].lower() != "vary"]
        vary = parse_set_header(", ".join(v for name, v in headers if name.lower() == "vary"))
        vary.update(self._vary)
        return [*others, *complete, ("Vary", vary.to_header())]


def _with_lower_names(headers: Mapping[str, str]) -> list[tuple[str, tuple[str, str]]]:
    return [(name.lower(), (name, value)) for name, value in headers.items()]


def _forget() -> None:
    set_request_id(None)


def script_nonce() -> str:
    """Return the nonce that lets the inline scripts of this answer run."""
    if "relevo_nonce" not in g:
        g.relevo_nonce = secrets.token_urlsafe(16)
    return str(g.relevo_nonce)
