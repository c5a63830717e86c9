"""`relevo backup`: save the whole installation into one file, and bring it back."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from flask.cli import ScriptInfo

from cli.data_dir import data_dir_option
from cli.documents import fields_of
from cli.migrating import migrate
from cli.output import EXIT_CODES, Answer, answering, answering_always, json_option, size, table
from cli.ownership import refuse_foreign_data_dir
from cli.progress import Bars
from core.keys_file import KeysFile
from core.secrets_file import (
    adopt_secrets,
    read_secrets,
    refuse_other_secrets,
    save_secrets,
)
from core.settings import current_settings
from services import (
    installation_backups,
    installation_keys,
    installation_lists,
    installation_proof,
    installation_restores,
)
from services.actors import cli_actor
from services.backup_format import Damage
from services.installation_lists import ListedBackup
from services.installation_proof import Proof

PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("backup", epilog=EXIT_CODES)
def command() -> None:
    """Save the whole installation into one file, prove it, and restore it on any engine."""


@command.command("create", epilog=EXIT_CODES)
@click.argument("target", required=False, type=PATH)
@click.option("--keys", "keys", type=PATH, help="Write the keys to this other, new file.")
@answering
def create(target: Path | None, keys: Path | None) -> Answer:
    """Save the installation to TARGET: a new file, or a folder; by default BACKUPS_ROOT.

    The server may run meanwhile. Keys are not inside: keep `--keys FILE` at another place. The
    exit code is 1 when files were damaged already and could not be saved; the backup is kept.
    """
    if keys is not None:
        _save_keys(keys)
    with Bars() as bars:
        made = installation_backups.create(actor=cli_actor(), target=target, progress=bars)
    summary = made.summary
    rows = sum(count.rows for count in summary.tables.values())
    lines = [
        f"Saved to {made.file}: {size(made.size_bytes)}.",
        f"{rows} rows, {summary.sites} sites, {summary.releases} releases, "
        f"{summary.contents} contents of {size(summary.content_bytes)}.",
        *([f"Keys in {keys}. Keep them at another place."] if keys else []),
        *_damage(summary.damaged),
    ]
    return Answer(
        document={**fields_of(made), "keys": str(keys) if keys else None},
        lines=lines,
        failed=bool(summary.damaged),
    )


@command.command("verify", epilog=EXIT_CODES)
@click.argument("file", type=FILE)
@answering_always
def verify(file: Path) -> Answer:
    """Read FILE to its end: every hash, count and reference, and the audit trail inside.

    The exit code is 1 when it could not be restored with the keys and the version at hand.
    """
    with Bars() as bars:
        proof = installation_proof.prove(path=file, progress=bars)
    lines = [f"{problem.code}: {problem.message}" for problem in proof.problems]
    if proof.is_sound:
        lines = _sound(proof)
    return Answer(document=_proof(proof), lines=lines, failed=not proof.is_sound)


@command.command("list", epilog=EXIT_CODES)
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@answering_always
def list_all(folder: Path | None) -> Answer:
    """List the backups in FOLDER, by default BACKUPS_ROOT, without reading them to the end."""
    found = installation_lists.list_backups(folder=folder)
    rows = [_row(entry) for entry in found]
    return Answer(document={"items": found}, lines=table(rows) if rows else ["No backups."])


@command.command("restore", epilog=EXIT_CODES)
@click.argument("file", type=FILE)
@click.option("--keys", type=FILE, help="Put these keys into DATA_DIR.")
@click.option("--keep-sessions", is_flag=True, help="Leave sign-ins and links for passwords alive.")
@data_dir_option
@json_option
@click.pass_context
def restore(
    context: click.Context,
    file: Path,
    keys: Path | None,
    keep_sessions: bool,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Bring FILE back into an empty DATA_DIR and an empty database, of any engine.

    Nothing is written unless everything in FILE and the keys are right. After an interruption
    repeat the same command; until it has ended the server does not start. Sign-ins end, because
    those that were ended after the backup must not come back to life.
    """
    found = _read_keys(data_dir, keys) if keys is not None else None
    if found is not None:
        application = context.ensure_object(ScriptInfo)
        if application.create_app is not None:
            application.create_app = partial(application.create_app, keys=found)
    _restored(file=file, keep_sessions=keep_sessions, keys=found, keys_in=data_dir, as_json=as_json)


@answering_always
def _restored(file: Path, keep_sessions: bool, keys: KeysFile | None, keys_in: Path) -> Answer:
    if keys is not None and keys_in != current_settings().data_dir:
        raise click.UsageError("Name another folder with DATA_DIR, not with --data-dir.")
    with Bars() as bars:
        made = installation_restores.restore(
            actor=cli_actor(),
            path=file,
            migrate=migrate,
            keep_sessions=keep_sessions,
            at_last=partial(adopt_secrets, keys_in, keys) if keys is not None else None,
            progress=bars,
        )
    lines = [
        f"Restored {made.rows} rows from {made.from_engine} to {made.engine}, {made.sites} sites, "
        f"{made.releases} releases, {made.contents} contents of {size(made.content_bytes)}.",
        "Sign-ins go on." if keep_sessions else "All sign-ins have ended.",
        *_damage(made.damaged),
    ]
    return Answer(document=made, lines=lines)


def _save_keys(path: Path) -> None:
    try:
        save_secrets(path, installation_keys.key_values())
    except FileExistsError:
        raise click.ClickException(f"{path} exists; name a new file for the keys") from None
    except FileNotFoundError:
        raise click.ClickException(f"there is no folder {path.parent}") from None


def _read_keys(data_dir: Path, path: Path) -> KeysFile:
    refuse_foreign_data_dir(data_dir)
    try:
        keys = read_secrets(path)
        refuse_other_secrets(data_dir, keys)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return keys


def _damage(damaged: Sequence[Damage]) -> list[str]:
    return [
        f"Not in it, damaged before: {entry.site}, release {entry.release}, {entry.path}"
        for entry in damaged
    ]


def _sound(proof: Proof) -> list[str]:
    if proof.description is None:
        return []
    header, summary = proof.description.header, proof.description.summary
    rows = sum(count.rows for count in summary.tables.values())
    return [
        f"Sound: {header.scope.value}, made {header.created_at} by Relevo {header.relevo} on "
        f"{header.engine}.",
        f"{rows} rows, {summary.sites} sites, {summary.releases} releases, "
        f"{summary.contents} contents of {size(summary.content_bytes)}.",
        *_damage(summary.damaged),
    ]


def _proof(proof: Proof) -> dict[str, object]:
    described = proof.description
    document: dict[str, object] = {
        "file": proof.file,
        "sound": proof.is_sound,
        "problems": proof.problems,
    }
    if described is None:
        return document
    header = {**fields_of(described.header), "tables": None}
    del header["tables"]
    return {**document, **header, "summary": described.summary}


def _row(entry: ListedBackup) -> tuple[str, ...]:
    return (
        entry.file,
        entry.created_at or "-",
        size(entry.size_bytes),
        entry.scope.value if entry.scope else "-",
        entry.engine or "-",
        entry.problem or "",
    )
