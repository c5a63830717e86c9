"""What commands say: lines for people, one JSON document for scripts, honest exit codes."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import with_appcontext

from cli.documents import to_json
from cli.ownership import refuse_foreign_data_dir
from cli.refusals import EXIT_REFUSED, refuse
from core import restore_marker
from core.settings import current_settings
from core.texts import printable
from models.engine import db, no_file_made

EXIT_CODES = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration."

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command found or did.

    `document` becomes JSON, `lines` say the same to people. `failed` makes the exit code 1.
    """

    document: object
    lines: list[str]
    failed: bool = False


def answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Run `command` inside the application and print its answer or its refusal.

    With `--json` standard output carries exactly one document, refusals included; lines for
    people about a refusal go to standard error. On a half restored installation it is refused.
    """

    @functools.wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Answer:  # Any: what click parsed
        restore_marker.refuse(current_settings().data_dir)
        with no_file_made(db.engine):
            return command(*args, **kwargs)

    return answering_always(checked)


def answering_always(command: Callable[..., Answer]) -> Callable[..., None]:
    """Do what `answering` does, on a half restored installation too."""

    @json_option
    @with_appcontext
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> None:  # Any: what click parsed
        refuse_foreign_data_dir(current_settings().data_dir)
        try:
            answer = command(*args, **kwargs)
        except Exception as error:
            refuse(error, as_json=as_json)
            raise
        if as_json:
            click.echo(to_json(answer.document))
        else:
            click.echo("".join(f"{printable(line)}\n" for line in answer.lines), nl=False)
        if answer.failed:
            sys.exit(EXIT_REFUSED)

    return run


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, nothing elsewhere; gives the function that moves it on."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield bar.update


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return lines with the columns of `rows` below each other."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def size(size_bytes: int) -> str:
    """Return a number of bytes in words."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    amount = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"
