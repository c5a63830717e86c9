"""`relevo secrets`: the keys of an installation."""

from pathlib import Path

import click

from cli.data_dir import data_dir_option
from cli.ownership import refuse_foreign_data_dir
from core.secrets_file import SECRETS_FILE, fresh_secrets, make_secrets


@click.group("secrets")
def command() -> None:
    """Make the keys that sign and encrypt."""


@command.command()
@click.option("--print", "only_print", is_flag=True, help="Print new keys and write nothing.")
@data_dir_option
def generate(data_dir: Path, only_print: bool) -> None:
    """Write DATA_DIR/secrets.env unless it exists."""
    if only_print:
        click.echo(fresh_secrets(), nl=False)
        return
    refuse_foreign_data_dir(data_dir)
    if make_secrets(data_dir):
        click.echo(f"Wrote new keys to {data_dir / SECRETS_FILE}.")
    else:
        click.echo(f"Kept the keys in {data_dir / SECRETS_FILE}.")
