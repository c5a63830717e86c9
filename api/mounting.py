"""Put the API into an application."""

from collections.abc import Callable, Sequence

from flask import Blueprint, Flask
from flask_restx import Namespace

from api import (
    access_tokens,
    approval_policies,
    audit,
    auth,
    cookies,
    docs,
    errors,
    events,
    headers,
    jobs,
    members,
    operations,
    rate_limit,
    request_log,
    requests,
    reset_page,
    roles,
    routing,
    security,
    server,
    sites,
    tags,
    tokens,
    users,
    webhooks,
)
from api.errors import RelevoApi
from api.event_streams import READER
from core.metrics import Metrics
from services.event_reader import EventReader

TITLE = "Relevo"
NAMESPACES: tuple[Callable[[], Namespace], ...] = (
    auth.namespace,
    tokens.namespace,
    users.namespace,
    roles.namespace,
    roles.permissions_namespace,
    members.namespace,
    audit.namespace,
    sites.namespace,
    jobs.namespace,
    requests.namespace,
    tags.namespace,
    approval_policies.namespace,
    webhooks.namespace,
    events.namespace,
    server.namespace,
)
EXTENSION = "relevo.api"


def mount(app: Flask, *, extra: Sequence[Callable[[], Namespace]] = ()) -> None:
    """Mount the whole API, its documents and the operator's addresses.

    Namespaces are built here and not in modules: restx keeps every application that ever used a
    namespace.

    Args:
        extra: further namespaces, for tests.
    """
    settings = app.extensions["relevo.settings"]
    access_tokens.configure(app, settings)
    cookies.register(app)
    headers.register(app, settings)
    metrics = app.extensions[operations.METRICS_EXTENSION] = Metrics(settings)
    request_log.register(app, metrics)
    security.register(app)
    routing.configure(app)
    app.after_request(rate_limit.add_headers)
    errors.register(app)
    blueprint = Blueprint("api", __name__, url_prefix=routing.API_PREFIX)
    api = RelevoApi(blueprint, title=TITLE, version="1", doc=False, default_mediatype=None)
    for namespace in (*NAMESPACES, *extra):
        api.add_namespace(namespace())
    app.register_blueprint(blueprint)
    events.register(app)
    app.extensions[EXTENSION] = api
    app.extensions[READER] = EventReader()
    docs.register(app, api, settings)
    operations.register(app)
    reset_page.register(app)
