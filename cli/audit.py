"""`relevo audit`: prove that the trail is what was written."""

import click
from flask.cli import with_appcontext

from cli.refusals import tell_refusals
from services import audit_proof
from services.actors import cli_actor


@click.group("audit")
def command() -> None:
    """Anchor and verify the audit trail."""


@command.command("anchor")
@with_appcontext
@tell_refusals
def anchor() -> None:
    """Print a signed note of the present end of the trail; keep it on another machine."""
    click.echo(audit_proof.make_anchor(actor=cli_actor()))


@command.command("verify")
@click.option("--anchor", "anchor_text", help="A note from an earlier time.")
@with_appcontext
@tell_refusals
def verify(anchor_text: str | None) -> None:
    """Walk the whole trail; exit code 1 and the number of the first bad event."""
    proof = audit_proof.verify(actor=cli_actor(), anchor=anchor_text)
    if not proof.valid:
        raise click.ClickException(f"Event {proof.first_invalid} is not as it was written.")
    click.echo(f"{proof.checked} events are as they were written.")
    click.echo(f"Anchor: {proof.anchor}")
