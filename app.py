"""Put everybody together: the only module that knows all the others.

Making the application opens neither the database nor the network.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from flask import Flask

import api
from api.client_socket import client_is_gone
from config import load_settings
from core import jobs, logs, restore_marker, waiting
from core.keys_file import KeysFile
from core.settings import Settings
from models.engine import db, engine_options
from models.registry import MODELS
from services import background, request_gate
from storage import failpoints
from storage.store import SiteStore
from tasks.bells import PipeBell
from tasks.worker import Worker


class Application(Flask):
    """Flask, without looking at every hook of every request whether it is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`: nothing here is asynchronous."""
        return func


def create_app(settings: Settings | None = None, *, keys: KeysFile | None = None) -> Flask:
    """Make the application.

    Args:
        settings: what to run with; read from the environment when left out.
        keys: use these, which DATA_DIR does not have yet.

    Raises:
        SettingError: a setting cannot be used.
    """
    settings = settings or load_settings(keys=keys)
    app = Application("relevo", root_path=str(settings.root_dir), static_folder=None)
    app.extensions["relevo.settings"] = settings
    app.extensions["relevo.store"] = SiteStore(settings.sites_root)
    app.config.update(_flask_config(settings))
    logs.configure(settings)
    failpoints.arm(settings.failpoint)
    _bind_database(app, settings)
    request_gate.connect()
    api.mount(app)
    jobs.register(app, *background.KINDS)
    waiting.prepare(
        app,
        threads=settings.web_threads,
        per_user=settings.max_listeners_per_user,
        is_abandoned=client_is_gone,
    )
    _bind_workers(app, settings)
    return app


def create_served_app() -> Flask:
    """Make the application for a web server, unless a restore has left it half done.

    Raises:
        SettingError: a setting cannot be used.
        UnavailableError: a restore into DATA_DIR was interrupted.
    """
    settings = load_settings()
    restore_marker.refuse(settings.data_dir)
    return create_app(settings)


def _flask_config(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.secret_key or None,
        "DEBUG": False,
        "TESTING": False,
        "MAX_CONTENT_LENGTH": None,
        "MAX_FORM_PARTS": 20,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(
            settings.database_url, threads=settings.web_threads
        ),
    }


def _bind_workers(app: Flask, settings: Settings) -> None:
    """Choose the messenger of jobs; Celery is imported only where it is wanted."""
    if settings.celery_broker_url is None:
        app.extensions[jobs.BELL] = PipeBell(settings.data_dir)
        app.extensions["relevo.worker"] = partial(Worker, app)
        return
    messenger = import_module("tasks.celery_app")
    celery = messenger.make_celery(app, settings.celery_broker_url)
    app.extensions["celery"] = celery
    app.extensions[jobs.BELL] = messenger.make_bell(celery)
    worker = import_module("tasks.celery_worker")
    app.extensions["relevo.worker"] = partial(worker.CeleryWorker, app, celery)


def _bind_database(app: Flask, settings: Settings) -> None:
    if not MODELS:
        raise RuntimeError("no tables are registered")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    db.init_app(app)
