"""`relevo setup`: bring an installation to the point where somebody can sign in."""

import click
from flask.cli import with_appcontext

from core.settings import current_settings
from services import setup


@click.command("setup")
@with_appcontext
def command() -> None:
    """Make roles, the first administrator and the starter site; safe to repeat."""
    settings = current_settings()
    report = setup.set_up()
    if report.admin is None:
        return
    click.echo(f"First administrator: {report.admin}")
    if report.password_file is not None:
        click.echo(f"Password: in {report.password_file}")
    if report.starter_site:
        click.echo(f"Starter site: {settings.site_url(f'starter.{settings.sites_domain}')}")
