"""Headers that every answer carries: request id, security, CORS, what caches may keep."""

import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, g, request
from flask.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from api.routing import API_PREFIX, is_api_path
from core.extensions import cors
from core.logs import request_id, set_request_id
from core.settings import Settings, current_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
HSTS_SECONDS = 31_536_000
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def register(app: Flask, settings: Settings) -> None:
    """Install request ids, security headers and CORS."""
    app.wsgi_app = RequestIds(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own advice
    app.after_request(_add_headers)
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


class RequestIds:
    """Gives each request an id before anything else looks at it, and forgets it at its end.

    A hook of Flask would be too late: what fails before it, and what a thread logs between two
    requests, would carry the id of an earlier request.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request.

        The caller's own id counts when it is a plain word.
        """
        given = environ.get("HTTP_X_REQUEST_ID", "")
        set_request_id(given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16))
        try:
            answer = self._application(environ, start_response)
        except BaseException:
            _forget()
            raise
        return ClosingIterator(answer, _forget)


def _forget() -> None:
    set_request_id(None)


def script_nonce() -> str:
    """Return the nonce that lets the inline scripts of this answer run."""
    if "relevo_nonce" not in g:
        g.relevo_nonce = secrets.token_urlsafe(16)
    return str(g.relevo_nonce)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers[REQUEST_ID_HEADER] = request_id() or ""
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    is_page = response.mimetype == "text/html"
    headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else DATA_POLICY)
    if is_page:
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if current_settings().is_https:
        headers.setdefault("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
    if is_api_path(request.path):
        headers.setdefault("Cache-Control", "no-store")
        response.vary.update(["Accept", "Authorization"])
        if current_settings().cors_origins:  # also for callers that sent no Origin
            response.vary.add("Origin")
    return response
