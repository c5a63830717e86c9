"""Refuse to work on an installation that belongs to another user."""

import os
import pwd
from pathlib import Path

import click


def refuse_foreign_data_dir(data_dir: Path) -> None:
    """Stop unless DATA_DIR is ours or does not exist yet.

    Files made by another user, root above all, could not be changed by the server later.

    Raises:
        ClickException: DATA_DIR belongs to somebody else.
    """
    try:
        owner = data_dir.stat().st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid():
        name = _user_name(owner)
        raise click.ClickException(
            f"DATA_DIR {data_dir} belongs to {name}; run this as that user: sudo -u {name} relevo"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
