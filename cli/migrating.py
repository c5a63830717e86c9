"""Migrations; alembic is loaded when one is asked for, since no server needs it."""

from importlib import import_module
from types import ModuleType

from flask import current_app

from core.settings import current_settings
from models.engine import db


def alembic_commands() -> ModuleType:
    """Return Flask-Migrate, whose functions are alembic's commands, for the running application."""
    flask_migrate = import_module("flask_migrate")
    if "migrate" not in current_app.extensions:
        folder = str(current_settings().root_dir / "migrations")
        flask_migrate.Migrate().init_app(current_app, db, directory=folder)
    return flask_migrate


def migrate(revision: str) -> None:
    """Bring the tables to a revision, for services, which know nothing of Flask.

    Raises:
        RuntimeError: alembic refused; its reason is in the log.
    """
    try:
        alembic_commands().upgrade(revision=revision)
    except SystemExit as error:
        # Flask-Migrate ends the process for errors of alembic, which it has logged.
        raise RuntimeError("alembic refused, see the log") from error
