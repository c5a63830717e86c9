"""DATA_DIR for the commands that run before the settings can be read."""

from pathlib import Path

import click

data_dir_option = click.option(
    "--data-dir",
    envvar="DATA_DIR",
    default="./var",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    callback=lambda _context, _option, value: value.expanduser().resolve(),
    help="Where the installation lies; DATA_DIR is the same.",
)
