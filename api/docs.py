"""Pages for people who read the API: Swagger UI, ReDoc, the documents and the problem pages.

Everything is served from here, nothing from other hosts. DOCS_ACCESS decides who may see pages
and documents; problem pages are always readable, because every error links to one.
"""

import importlib.util
import json
import re
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

from flask import Blueprint, Flask, Response, render_template, request, send_from_directory
from flask_restx import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from api.catalog import Document
from api.errors import RelevoApi
from api.headers import script_nonce
from api.openapi import openapi_document
from api.postman import postman_collection
from api.problems import STATUS, problem
from api.security import client_address
from api.swagger import swagger_document
from core.errors import ErrorCode, NotFoundError
from core.problem_texts import PROBLEM_TEXTS
from core.settings import DocsAccess, Settings
from services import sign_in

ASSET_SECONDS = 86_400
OWN_ASSETS = Path(__file__).parent / "assets"
PACKAGE = "offapi"
PACKAGED_ASSETS = {
    "swagger-ui.css": "swagger_style.css",
    "swagger-ui-bundle.js": "swagger_bundle.js",
    "swagger-ui-preset.js": "swagger_preset.js",
    "redoc.js": "redoc.js",
}
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; img-src 'self' data:; "
    "script-src 'nonce-{nonce}'; style-src 'self'{styles}"
)
REDOC_STYLES = " 'unsafe-inline'; font-src 'self' data:"
REMOTE_LOGO = re.compile(rb"https://cdn\.redoc\.ly/[\w./-]+")
NO_LOGO = b"data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="


def register(app: Flask, api: RelevoApi, settings: Settings) -> None:
    """Mount the pages, their assets and the problem pages."""
    pages = Blueprint("docs", __name__, template_folder="templates")
    pages.add_url_rule("/problems/<code>", view_func=_problem_page, endpoint="problem")
    pages.add_url_rule("/docs-assets/<name>", view_func=_asset, endpoint="asset")
    for path, view in _documents(api, settings).items():
        guarded = partial(_guarded, view, settings.docs_access)
        pages.add_url_rule(path, view_func=guarded, endpoint=path.strip("/").replace(".", "_"))
    app.register_blueprint(pages)


def _documents(api: Api, settings: Settings) -> dict[str, Callable[[], WerkzeugResponse]]:
    url = settings.public_url
    builders: dict[str, Callable[[], Document]] = {
        "/swagger.json": partial(swagger_document, api),
        "/openapi.json": partial(openapi_document, api),
        "/postman.json": partial(postman_collection, api, server_url=url),
    }
    pages: dict[str, Callable[[], WerkzeugResponse]] = {
        "/swagger": partial(_page, "docs/swagger.html"),
        "/redoc": partial(_page, "docs/redoc.html", REDOC_STYLES),
    }
    return pages | {path: _Cached(builder) for path, builder in builders.items()}


class _Cached:
    """A document that is written when somebody first asks for it."""

    def __init__(self, build: Callable[[], Document]) -> None:
        self._build = build
        self._lock = Lock()
        self._data: bytes | None = None

    def __call__(self) -> WerkzeugResponse:
        with self._lock:
            if self._data is None:
                self._data = json.dumps(self._build(), separators=(",", ":")).encode()
        response = Response(self._data, mimetype="application/json")
        response.headers["Cache-Control"] = "no-cache"
        response.add_etag()
        return response.make_conditional(request)


def _guarded(view: Callable[[], WerkzeugResponse], access: DocsAccess) -> WerkzeugResponse:
    if access is DocsAccess.OFF:
        raise NotFoundError("There is nothing at this address.")
    if access is DocsAccess.LOGIN and not _is_signed_in():
        return problem(
            ErrorCode.TOKEN_MISSING,
            "Sign in with user name and password to read this.",
            headers={"WWW-Authenticate": 'Basic realm="relevo", charset="UTF-8"'},
        )
    return view()


def _is_signed_in() -> bool:
    given = request.authorization
    if given is None or given.type != "basic":
        return False
    return sign_in.check_password(
        username=given.username or "", password=given.password or "", address=client_address()
    )


def _page(template: str, styles: str = "") -> WerkzeugResponse:
    nonce = script_nonce()
    response = Response(render_template(template, nonce=nonce), mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY.format(nonce=nonce, styles=styles)
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem_page(code: str) -> WerkzeugResponse:
    try:
        known = ErrorCode(code)
    except ValueError:
        raise NotFoundError("There is no problem of this name.") from None
    page = render_template(
        "docs/problem.html", code=known, text=PROBLEM_TEXTS[known], status=int(STATUS[known])
    )
    return Response(page, mimetype="text/html")


def _asset(name: str) -> WerkzeugResponse:
    """Serve one of our files, or one of the few from the package that carries the readers.

    The package is never imported: doing so reads nine megabytes into memory.
    """
    if name == "redoc.js":
        return _redoc_script()
    if name in PACKAGED_ASSETS:
        return send_from_directory(_package_folder(), PACKAGED_ASSETS[name], max_age=ASSET_SECONDS)
    return send_from_directory(OWN_ASSETS, name, max_age=ASSET_SECONDS)


def _redoc_script() -> WerkzeugResponse:
    response = Response(_redoc_without_remote_logo(), mimetype="text/javascript")
    response.headers["Cache-Control"] = f"public, max-age={ASSET_SECONDS}"
    response.add_etag()
    return response.make_conditional(request)


@lru_cache(maxsize=1)
def _redoc_without_remote_logo() -> bytes:
    """Return ReDoc without the pictures that it fetches from its makers."""
    script = (_package_folder() / PACKAGED_ASSETS["redoc.js"]).read_bytes()
    return REMOTE_LOGO.sub(NO_LOGO, script)


def _package_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise NotFoundError("The pages' scripts are not installed.")
    return Path(spec.origin).parent
