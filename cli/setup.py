"""`relevo setup`: bring an installation to the point where somebody can sign in."""

from pathlib import Path

import click
from flask.cli import ScriptInfo

from cli.data_dir import data_dir_option
from cli.migrating import migrate
from cli.ownership import refuse_foreign_data_dir
from cli.refusals import tell_refusals
from core import restore_marker
from core.secrets_file import make_secrets
from core.settings import Settings, current_settings
from services import setup, upgrades
from services.actors import cli_actor
from services.installation_restores import NEWEST
from services.setup import SetupReport


@click.command("setup")
@data_dir_option
@click.pass_context
@tell_refusals
def command(context: click.Context, data_dir: Path) -> None:
    """Make keys, tables, the first administrator and the starter site; safe to repeat.

    Keys must exist before the settings can be read, so this is the one command that makes them
    first.
    """
    refuse_foreign_data_dir(data_dir)
    restore_marker.refuse(data_dir)
    make_secrets(data_dir)
    with context.ensure_object(ScriptInfo).load_app().app_context():
        settings = current_settings()
        if settings.data_dir != data_dir:
            raise click.UsageError("Name another folder with DATA_DIR, not with --data-dir.")
        _upgrade()
        _tell(settings, setup.set_up())


def _upgrade() -> None:
    """Make the tables; older ones are saved before they are changed."""
    if not upgrades.is_due():
        migrate(NEWEST)
        return
    done = upgrades.migrate_saved(actor=cli_actor(), migrate=migrate)
    click.echo(f"Upgraded the tables to revision {done.to_revision}.")
    if done.saved is not None:
        click.echo(f"Rows of before: in {done.saved}; back with: {done.way_back[0]}")


def _tell(settings: Settings, report: SetupReport) -> None:
    if report.admin is not None:
        click.echo(f"First administrator: {report.admin}")
    if report.password_file is not None:
        click.echo(f"Password: in {report.password_file}")
    if report.starter_site:
        click.echo(f"Starter site: {settings.site_url(f'starter.{settings.sites_domain}')}")
