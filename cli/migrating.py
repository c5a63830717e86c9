"""Migrations for services, which know nothing of Flask."""

import flask_migrate


def migrate(revision: str) -> None:
    """Bring the tables to a revision.

    Raises:
        RuntimeError: alembic refused; its reason is in the log.
    """
    try:
        flask_migrate.upgrade(revision=revision)
    except SystemExit as error:
        # Flask-Migrate ends the process for errors of alembic, which it has logged.
        raise RuntimeError("alembic refused, see the log") from error
