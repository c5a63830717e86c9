"""`relevo db`: migrations of Relevo's own database."""

import click
from flask.cli import with_appcontext

from cli.migrating import alembic_commands
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
    alembic_commands().upgrade(revision=revision)


@command.command("downgrade")
@click.argument("revision", default="-1")
@with_appcontext
@tell_refusals
def downgrade(revision: str) -> None:
    """Take the tables back to REVISION (default: one step)."""
    with no_file_made(db.engine):
        alembic_commands().downgrade(revision=revision)


@command.command("current")
@with_appcontext
@tell_refusals
def current() -> None:
    """Show the revision the tables have."""
    with no_file_made(db.engine):
        alembic_commands().current()


@command.command("history")
@with_appcontext
@tell_refusals
def history() -> None:
    """Show all revisions."""
    alembic_commands().history()


@command.command("check")
@with_appcontext
@tell_refusals
def check() -> None:
    """Fail when models and tables differ."""
    with no_file_made(db.engine):
        alembic_commands().check()


@command.command("migrate")
@click.option("-m", "--message", required=True, help="What the revision does.")
@with_appcontext
@tell_refusals
def migrate(message: str) -> None:
    """Write a new revision from the difference between models and tables."""
    with no_file_made(db.engine):
        alembic_commands().migrate(message=message)
