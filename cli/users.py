"""`relevo users`: everybody who may sign in."""

import sys
from pathlib import Path
from typing import TextIO

import click
from flask.cli import with_appcontext

from cli.refusals import tell_refusals
from cli.user_files import FileError, FileFormat, read_users, write_users
from services import erasure, invitations, password_changes, totp, users
from services.actors import cli_actor
from services.invitations import LinkKind
from services.paging import MAX_PER_PAGE, PageRequest
from services.user_import import ImportReport, RowError, export_users, import_users
from services.users import UserFilter

FORMATS = click.Choice([entry.value for entry in FileFormat])


@click.group("users")
def command() -> None:
    """Make, list and change users."""


@command.command("create")
@click.argument("username")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--role", help="Global role; member by default.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password; without it an invitation is made."
)
@with_appcontext
@tell_refusals
def create(username: str, email: str, role: str | None, password_stdin: bool) -> None:
    """Make the user USERNAME."""
    password = _password(stdin=True) if password_stdin else None
    new = users.create_user(
        actor=cli_actor(), username=username, email=email, role=role, password=password
    )
    click.echo(f"Created {new.user.username} with the role {new.user.role.name}.")
    if new.invitation_url is not None:
        click.echo(f"Invitation, for {invitations.INVITATION_DAYS} days: {new.invitation_url}")


@command.command("list")
@click.option("--role", help="Only users with this global role.")
@click.option("--query", "-q", help="Words in user name, e-mail address or full name.")
@click.option("--active/--inactive", default=None, help="Only active or only inactive ones.")
@with_appcontext
@tell_refusals
def list_all(role: str | None, query: str | None, active: bool | None) -> None:
    """List users: name, address, role, state."""
    number, wanted = 1, UserFilter(role=role, is_active=active)
    while True:
        request = PageRequest(page=number, per_page=MAX_PER_PAGE, sort="username", q=query)
        found = users.list_users(actor=cli_actor(), page=request, wanted=wanted)
        for user in found.items:
            state = "active" if user.is_active else "inactive"
            click.echo(f"{user.username}\t{user.email or '-'}\t{user.role.name}\t{state}")
        if found.next is None:
            return
        number = found.next


@command.command("set-password")
@click.argument("username")
@click.option("--stdin", is_flag=True, help="Read the password from standard input.")
@with_appcontext
@tell_refusals
def set_password(username: str, stdin: bool) -> None:
    """Set the password of USERNAME and end all their sessions."""
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    password_changes.set_password(actor=actor, user=user, new_password=_password(stdin=stdin))
    click.echo(f"Changed the password of {username}; all sessions have ended.")


@command.command("reset-link")
@click.argument("username")
@with_appcontext
@tell_refusals
def reset_link(username: str) -> None:
    """Print a link with which USERNAME can set a password, once."""
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    link = invitations.make_link(actor=actor, user=user, kind=LinkKind.RESET)
    click.echo(f"For {invitations.RESET_MINUTES} minutes: {link.url}")


@command.command("deactivate")
@click.argument("username")
@with_appcontext
@tell_refusals
def deactivate(username: str) -> None:
    """Lock USERNAME out at once."""
    users.deactivate(actor=cli_actor(), username=username)
    click.echo(f"Deactivated {username}.")


@command.command("erase")
@click.argument("username")
@click.confirmation_option(prompt="This cannot be undone. Erase?")
@with_appcontext
@tell_refusals
def erase(username: str) -> None:
    """Remove everything that tells who USERNAME is."""
    erasure.erase(actor=cli_actor(), username=username)
    click.echo(f"Erased {username}.")


@command.command("remove-totp")
@click.argument("username")
@with_appcontext
@tell_refusals
def remove_totp(username: str) -> None:
    """Turn off the second factor of USERNAME, who lost it."""
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    totp.remove_of(actor=actor, user=user)
    click.echo(f"{username} signs in without a second factor now.")


@command.command("export")
@click.option("--format", "file_format", type=FORMATS, default=FileFormat.CSV.value)
@click.option("--output", "-o", type=click.File("w", encoding="utf-8"), default="-")
@with_appcontext
@tell_refusals
def export(file_format: str, output: TextIO) -> None:
    """Write all users with their contacts, without secrets."""
    for text in write_users(export_users(actor=cli_actor()), FileFormat(file_format)):
        output.write(text)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "file_format", type=FORMATS, help="By default what the name ends in.")
@click.option("--dry-run", is_flag=True, help="Try everything and keep nothing.")
@click.option("--invite", is_flag=True, help="Print an invitation for each new user.")
@with_appcontext
@tell_refusals
def import_file(file: Path, file_format: str | None, dry_run: bool, invite: bool) -> None:
    """Create and change the users in FILE: all of them or none.

    CSV with a line of column names, or a JSON array of objects: username, email, role, is_active,
    full_name, phone, city, country, organisation. What `export` writes can be imported.
    """
    kind = FileFormat(file_format) if file_format else _guess(file)
    report = _import(file, kind, dry_run=dry_run, invite=invite)
    for error in sorted(report.errors, key=lambda entry: entry.line):
        click.echo(f"{file}:{error.line}: {error.field} {error.message}", err=True)
    if report.errors:
        raise click.ClickException(f"{len(report.errors)} faults; nothing was changed.")
    for username, url in report.invitations:
        click.echo(f"{username}\t{url}")
    prefix = "Would create" if dry_run else "Created"
    click.echo(
        f"{prefix} {report.created}, changed {report.updated}, unchanged {report.unchanged}."
    )


def _import(file: Path, kind: FileFormat, *, dry_run: bool, invite: bool) -> ImportReport:
    try:
        records, faults = read_users(file.read_text(encoding="utf-8"), kind)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return ImportReport(errors=[RowError(line, "file", "is not UTF-8")])
    except FileError as error:
        return ImportReport(errors=[error.complaint])
    report = import_users(
        actor=cli_actor(), records=records, dry_run=dry_run or bool(faults), invite=invite
    )
    report.errors.extend(faults)
    return report


def _guess(file: Path) -> FileFormat:
    return FileFormat.JSON if file.suffix.lower() == ".json" else FileFormat.CSV


def _password(*, stdin: bool) -> str:
    """Read a password; never from the arguments, which every process can see."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
