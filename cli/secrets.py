"""`relevo secrets`: the keys of an installation."""

from pathlib import Path

import click
from flask.cli import with_appcontext

from cli.data_dir import data_dir_option
from cli.ownership import refuse_foreign_data_dir
from core.keys_file import SECRETS_FILE
from core.secrets_file import (
    fresh_secrets,
    make_secrets,
    retire_secrets,
    rotate_secrets,
)
from core.serve_lock import serves_with_older_keys
from core.settings import current_settings
from services import key_rotation

RESTART = "Restart the server: until then it uses the keys it has read."


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


@command.command()
@data_dir_option
def rotate(data_dir: Path) -> None:
    """Put new keys first in DATA_DIR/secrets.env; the old ones still verify and decrypt.

    Afterwards restart the server, and retire the old keys.
    """
    refuse_foreign_data_dir(data_dir)
    try:
        rotate_secrets(data_dir)
    except FileNotFoundError:
        raise click.ClickException(f"there is no {data_dir / SECRETS_FILE}") from None
    click.echo(f"Put new keys first in {data_dir / SECRETS_FILE}.")
    click.echo(RESTART)
    click.echo("Then drop the old keys with: relevo secrets retire")


@command.command()
@with_appcontext
def retire() -> None:
    """Encrypt stored secrets again under the newest key, then drop the old keys.

    Access tokens signed with an old key end; their sessions go on with a refresh.
    """
    data_dir = current_settings().data_dir
    refuse_foreign_data_dir(data_dir)
    if serves_with_older_keys(data_dir):
        raise click.ClickException("the running server has not read the new keys; restart it")
    changed = key_rotation.reencrypt_fields()
    dropped = retire_secrets(data_dir)
    click.echo(f"Encrypted {changed} stored secrets again and dropped {dropped} old keys.")
    if dropped:
        click.echo("Restart the server, so that it forgets them too.")
