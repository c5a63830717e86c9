"""`relevo worker`: background work in the foreground."""

import click
from flask import current_app
from flask.cli import with_appcontext


@click.command("worker")
@with_appcontext
def command() -> None:
    """Recover, compress, scrub and sweep until SIGTERM."""
    current_app.extensions["relevo.worker"].run()
