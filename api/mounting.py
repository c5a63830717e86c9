"""Put the API into an application."""

from collections.abc import Callable, Sequence

from flask import Blueprint, Flask
from flask_restx import Namespace
from werkzeug.middleware.proxy_fix import ProxyFix

from api import access_tokens, errors, headers, rate_limit, request_log, routing, security
from api.errors import RelevoApi
from core.settings import Settings

TITLE = "Relevo"
NAMESPACES: tuple[Callable[[], Namespace], ...] = ()
EXTENSION = "relevo.api"


def mount(app: Flask, *, extra: Sequence[Callable[[], Namespace]] = ()) -> None:
    """Mount the whole API, its documents and the operator's addresses.

    Namespaces are built here and not in modules: restx keeps every application that ever used a
    namespace.

    Args:
        extra: further namespaces, for tests.
    """
    settings = app.extensions["relevo.settings"]
    _configure(app, settings)
    request_log.register(app)
    headers.register(app, settings)
    security.register(app)
    app.after_request(rate_limit.add_headers)
    errors.register(app)
    blueprint = Blueprint("api", __name__, url_prefix=routing.API_PREFIX)
    api = RelevoApi(
        blueprint, title=TITLE, version="1", doc=False, add_specs=False, default_mediatype=None
    )
    for namespace in (*NAMESPACES, *extra):
        api.add_namespace(namespace())
    app.register_blueprint(blueprint)
    app.extensions[EXTENSION] = api


def _configure(app: Flask, settings: Settings) -> None:
    app.config.update(
        RESTX_INCLUDE_ALL_MODELS=True,
        RESTX_MASK_SWAGGER=False,
        RESTX_ERROR_404_HELP=False,
        PROPAGATE_EXCEPTIONS=None,
    )
    access_tokens.configure(app, settings)
    routing.configure(app)
    if settings.trusted_proxies > 0:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
