"""`relevo upgrade`: tables in the form of this version, and the way back."""

from pathlib import Path

import click

from cli.documents import fields_of
from cli.migrating import migrate
from cli.output import EXIT_CODES, Answer, answering_always
from cli.progress import Bars
from services import upgrades
from services.actors import cli_actor
from services.upgrades import Upgrade


@click.command("upgrade", epilog=EXIT_CODES)
@click.option(
    "--undo",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the rows of this file back, which an upgrade saved.",
)
@click.option("--lose-changes", is_flag=True, help="With --undo: although more happened since.")
@answering_always
def command(undo: Path | None, lose_changes: bool) -> Answer:
    """Check, save all rows, bring the tables to the newest form; tell the way back.

    The rows go to BACKUPS_ROOT. The server must be stopped. Files of sites are not touched and not
    saved: migrations change tables only. When a migration fails the exit code is 1 and the way back
    is printed.
    """
    if undo is not None:
        return _undone(undo, lose_changes=lose_changes)
    with Bars() as bars:
        done = upgrades.upgrade(actor=cli_actor(), migrate=migrate, progress=bars)
    return Answer(document={**fields_of(done), "changed": done.is_changed}, lines=_lines(done))


def _undone(file: Path, *, lose_changes: bool) -> Answer:
    with Bars() as bars:
        done = upgrades.undo(
            actor=cli_actor(),
            path=file,
            migrate=migrate,
            lose_changes=lose_changes,
            progress=bars,
        )
    lines = [
        f"The tables have revision {done.revision} and {done.rows} rows again.",
        "Now put back the version you came from; this one would upgrade them again.",
    ]
    return Answer(document=done, lines=lines)


def _lines(done: Upgrade) -> list[str]:
    if not done.is_changed:
        return [f"Nothing to do: the tables have revision {done.to_revision}."]
    return [
        f"Upgraded from revision {done.from_revision} to {done.to_revision}.",
        f"The rows of before are in {done.saved}. The way back:",
        *(f"  {step}" for step in done.way_back),
    ]
