"""`relevo users`: everybody who may sign in."""

import sys
from pathlib import Path
from typing import TextIO

import click
from flask.cli import with_appcontext

from cli.output import EXIT_CODES, Answer, answering, table
from cli.refusals import tell_refusals
from cli.user_files import FileError, FileFormat, read_users, write_users
from core.texts import printable
from models.engine import db, no_file_made
from models.users import User
from services import erasure, invitations, password_changes, totp, users
from services.actors import cli_actor
from services.invitations import LinkKind
from services.paging import MAX_PER_PAGE, PageRequest
from services.user_import import ImportReport, RowError, export_users, import_users
from services.users import UserFilter

FORMATS = click.Choice([entry.value for entry in FileFormat])


@click.group("users", epilog=EXIT_CODES)
def command() -> None:
    """Make, list and change users."""


@command.command("create")
@click.argument("username")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--role", help="Global role; member by default.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password; without it an invitation is made."
)
@answering
def create(username: str, email: str, role: str | None, password_stdin: bool) -> Answer:
    """Make the user USERNAME."""
    password = _password(stdin=True) if password_stdin else None
    new = users.create_user(
        actor=cli_actor(), username=username, email=email, role=role, password=password
    )
    document = {**_document(new.user), "invitation_url": new.invitation_url}
    lines = [f"Created {new.user.username} with the role {new.user.role.name}."]
    if new.invitation_url is not None:
        lines.append(f"Invitation, for {invitations.INVITATION_DAYS} days: {new.invitation_url}")
    return Answer(document=document, lines=lines)


@command.command("list")
@click.option("--role", help="Only users with this global role.")
@click.option("--query", "-q", help="Words in user name, e-mail address or full name.")
@click.option("--active/--inactive", default=None, help="Only active or only inactive ones.")
@answering
def list_all(role: str | None, query: str | None, active: bool | None) -> Answer:
    """List users: name, address, role, state."""
    number, wanted = 1, UserFilter(role=role, is_active=active)
    found: list[User] = []
    while True:
        request = PageRequest(page=number, per_page=MAX_PER_PAGE, sort="username", q=query)
        page = users.list_users(actor=cli_actor(), page=request, wanted=wanted)
        found += page.items
        if page.next is None:
            break
        number = page.next
    rows = [(user.username, user.email or "-", user.role.name, _state(user)) for user in found]
    lines = table(rows) if rows else ["No users."]
    return Answer(document={"items": [_document(user) for user in found]}, lines=lines)


@command.command("set-password")
@click.argument("username")
@click.option("--stdin", is_flag=True, help="Read the password from standard input.")
@answering
def set_password(username: str, stdin: bool) -> Answer:
    """Set the password of USERNAME and end all their sessions."""
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    password_changes.set_password(actor=actor, user=user, new_password=_password(stdin=stdin))
    return Answer(
        document=_document(user),
        lines=[f"Changed the password of {username}; all sessions have ended."],
    )


@command.command("reset-link")
@click.argument("username")
@answering
def reset_link(username: str) -> Answer:
    """Print a link with which USERNAME can set a password, once."""
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    link = invitations.make_link(actor=actor, user=user, kind=LinkKind.RESET)
    return Answer(
        document={"url": link.url, "expires_at": link.expires_at},
        lines=[f"For {invitations.RESET_MINUTES} minutes: {link.url}"],
    )


@command.command("deactivate")
@click.argument("username")
@answering
def deactivate(username: str) -> Answer:
    """Lock USERNAME out at once."""
    users.deactivate(actor=cli_actor(), username=username)
    return Answer(document={"username": username}, lines=[f"Deactivated {username}."])


@command.command("erase")
@click.argument("username")
@click.confirmation_option(prompt="This cannot be undone. Erase?")
@answering
def erase(username: str) -> Answer:
    """Remove everything that tells who USERNAME is."""
    erasure.erase(actor=cli_actor(), username=username)
    return Answer(document={"username": username}, lines=[f"Erased {username}."])


@command.command("remove-totp")
@click.argument("username")
@answering
def remove_totp(username: str) -> Answer:
    """Turn off the second factor of USERNAME, who lost it.

    A password that is too short to stand alone goes off too, and a link to set another is printed.
    """
    actor = cli_actor()
    user = users.get_user(actor=actor, username=username)
    if totp.remove_of(actor=actor, user=user):
        return Answer(
            document=_document(user),
            lines=[f"{username} signs in without a second factor now."],
        )
    link = invitations.make_link(actor=actor, user=user, kind=LinkKind.RESET)
    lines = [
        f"The password of {username} was too short to stand alone and is off. A new one is set",
        f"with this link, for {invitations.RESET_MINUTES} minutes: {link.url}",
    ]
    return Answer(document={**_document(user), "url": link.url}, lines=lines)


@command.command("export")
@click.option("--format", "file_format", type=FORMATS, default=FileFormat.CSV.value)
@click.option("--output", "-o", type=click.File("w", encoding="utf-8"), default="-")
@with_appcontext
@tell_refusals
def export(file_format: str, output: TextIO) -> None:
    """Write all users with their contacts, without secrets."""
    with no_file_made(db.engine):
        for text in write_users(export_users(actor=cli_actor()), FileFormat(file_format)):
            output.write(text)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "file_format", type=FORMATS, help="By default what the name ends in.")
@click.option("--dry-run", is_flag=True, help="Try everything and keep nothing.")
@click.option("--invite", is_flag=True, help="Print an invitation for each new user.")
@answering
def import_file(file: Path, file_format: str | None, dry_run: bool, invite: bool) -> Answer:
    """Create and change the users in FILE: all of them or none.

    CSV with a line of column names, or a JSON array of objects: username, email, role, is_active,
    full_name, phone, city, country, organisation. What `export` writes can be imported.
    """
    kind = FileFormat(file_format) if file_format else _guess(file)
    report = _import(file, kind, dry_run=dry_run, invite=invite)
    report.errors.sort(key=lambda error: error.line)
    for error in report.errors:
        click.echo(printable(f"{file}:{error.line}: {error.field} {error.message}"), err=True)
    if report.errors:
        lines = [f"{len(report.errors)} faults; nothing was changed."]
        return Answer(document=report, lines=lines, failed=True)
    counts = f"{report.created}, changed {report.updated}, unchanged {report.unchanged}."
    lines = [f"{username}\t{url}" for username, url in report.invitations]
    lines.append(f"{'Would create' if dry_run else 'Created'} {counts}")
    return Answer(document=report, lines=lines)


def _document(user: User) -> dict[str, object]:
    return {
        "username": user.username,
        "email": user.email,
        "role": user.role.name,
        "is_active": user.is_active,
    }


def _state(user: User) -> str:
    return "active" if user.is_active else "inactive"


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
