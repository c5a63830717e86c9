"""`relevo routes` and `relevo shell`: look at the application from within."""

import code
import importlib
import importlib.util
import inspect
import pkgutil
import re
from dataclasses import dataclass

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

import services
from cli.output import EXIT_CODES, Answer, answering, table
from cli.ownership import refuse_foreign_data_dir
from core.extensions import site_store
from core.settings import current_settings
from models.engine import db
from models.registry import MODELS
from services.actors import cli_actor
from services.transaction import transaction

METADATA = "__endpoint__"
REQUIRED = "required"
NO_AUTH = "none"
_PARAMETER = re.compile(r"<(?:[^:>]+:)?([^>]+)>")
AUTOMATIC = ("HEAD", "OPTIONS")
BANNER = """Relevo at {url}, data in {data_dir}.
At hand: all models and service modules, app, settings, db, session, store, actor, transaction.
Changes are kept only inside `with transaction():`."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one address; scopes are those the credential must be able to hold."""

    method: str
    path: str
    auth: str
    scopes: tuple[str, ...]
    summary: str


@click.command("routes", epilog=EXIT_CODES)
@click.option("--grep", help="Only lines with this text.")
@answering
def routes(grep: str | None) -> Answer:
    """List every address with its scopes."""
    found = [route for route in _routes(current_app) if not grep or grep in " ".join(_row(route))]
    rows = [_row(route) for route in found]
    return Answer(document={"items": found}, lines=table(rows) if rows else [])


@click.command("shell")
@with_appcontext
def shell() -> None:
    """Open a Python shell with models and services at hand."""
    settings = current_settings()
    banner = BANNER.format(url=settings.public_url, data_dir=settings.data_dir)
    refuse_foreign_data_dir(settings.data_dir)
    _interact(banner, _namespace())


def _routes(app: Flask) -> list[Route]:
    found = [
        _route(app, rule.endpoint, rule.rule, method)
        for rule in app.url_map.iter_rules()
        if not rule.websocket  # the same address answers plain calls by a rule of its own
        for method in (rule.methods or set()).difference(AUTOMATIC)
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def _route(app: Flask, endpoint: str, path: str, method: str) -> Route:
    view = app.view_functions[endpoint]
    resource = getattr(view, "view_class", None)
    operation = getattr(getattr(resource, method.lower(), None), METADATA, None)
    return Route(
        method=method,
        path=_PARAMETER.sub(r"{\1}", path),
        auth=str(getattr(operation, "auth", NO_AUTH)),
        scopes=tuple(getattr(operation, "scopes", ())),
        summary=getattr(operation, "summary", "") or _first_line(view),
    )


def _first_line(view: object) -> str:
    text = inspect.getdoc(view) if inspect.isfunction(view) else None
    return (text or "").partition("\n")[0]


def _row(route: Route) -> tuple[str, ...]:
    needed = " ".join(route.scopes) or ("any credential" if route.auth == REQUIRED else "-")
    return route.method, route.path, needed, route.summary


def _namespace() -> dict[str, object]:
    modules = {
        module.name: importlib.import_module(f"services.{module.name}")
        for module in pkgutil.iter_modules(services.__path__)
    }
    return {
        **modules,
        **{model.__name__: model for model in MODELS},
        "app": current_app,
        "settings": current_settings(),
        "db": db,
        "session": db.session,
        "store": site_store(),
        "actor": cli_actor(),
        "transaction": transaction,
    }


def _interact(banner: str, namespace: dict[str, object]) -> None:
    """Use IPython where it is installed, Python's own shell elsewhere."""
    if importlib.util.find_spec("IPython") is not None:
        click.echo(banner)
        importlib.import_module("IPython").start_ipython(argv=[], user_ns=namespace)
        return
    _complete_names(namespace)
    code.interact(banner=banner, local=namespace, exitmsg="")


def _complete_names(namespace: dict[str, object]) -> None:
    """Let the tab key complete names, where Python was built with readline."""
    if importlib.util.find_spec("readline") is None:
        return
    readline = importlib.import_module("readline")
    completer = importlib.import_module("rlcompleter").Completer(namespace)
    readline.set_completer(completer.complete)
    readline.parse_and_bind("tab: complete")
