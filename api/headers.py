"""Headers that every answer carries: request id, security, CORS, what caches may keep."""

import re
import secrets

from flask import Flask, g, request
from flask.wrappers import Response

from api.routing import API_PREFIX, is_api_path
from core.extensions import cors
from core.logs import set_request_id
from core.settings import Settings, current_settings

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
    app.before_request(take_request_id)
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


def take_request_id() -> None:
    """Use the caller's request id when it is a plain word, else make one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    value = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    g.relevo_request_id = value
    set_request_id(value)


def script_nonce() -> str:
    """Return the nonce that lets the inline scripts of this answer run."""
    if "relevo_nonce" not in g:
        g.relevo_nonce = secrets.token_urlsafe(16)
    return str(g.relevo_nonce)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers[REQUEST_ID_HEADER] = g.get("relevo_request_id", "")
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
    return response
