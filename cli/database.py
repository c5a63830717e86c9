"""`relevo db`: migrations of Relevo's own database."""

import click
import flask_migrate
from flask.cli import with_appcontext

from cli.refusals import tell_refusals
from models.engine import db, no_file_made


@click.group("db")
def command() -> None:
    """Create and change the tables."""


@command.command("upgrade")
@click.argument("revision", default="head")
@with_appcontext
@tell_refusals
def upgrade(revision: str) -> None:
    """Bring the tables to REVISION (default: the newest)."""
    flask_migrate.upgrade(revision=revision)


@command.command("downgrade")
@click.argument("revision", default="-1")
@with_appcontext
@tell_refusals
def downgrade(revision: str) -> None:
    """Take the tables back to REVISION (default: one step)."""
    with no_file_made(db.engine):
        flask_migrate.downgrade(revision=revision)


@command.command("current")
@with_appcontext
@tell_refusals
def current() -> None:
    """Show the revision the tables have."""
    with no_file_made(db.engine):
        flask_migrate.current()


@command.command("history")
@with_appcontext
@tell_refusals
def history() -> None:
    """Show all revisions."""
    flask_migrate.history()


@command.command("check")
@with_appcontext
@tell_refusals
def check() -> None:
    """Fail when models and tables differ."""
    with no_file_made(db.engine):
        flask_migrate.check()


@command.command("migrate")
@click.option("-m", "--message", required=True, help="What the revision does.")
@with_appcontext
@tell_refusals
def migrate(message: str) -> None:
    """Write a new revision from the difference between models and tables."""
    with no_file_made(db.engine):
        flask_migrate.migrate(message=message)
