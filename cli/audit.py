"""`relevo audit`: prove that the trail is what was written."""

import click

from cli.output import EXIT_CODES, Answer, answering
from services import audit_proof
from services.actors import cli_actor


@click.group("audit", epilog=EXIT_CODES)
def command() -> None:
    """Anchor and verify the audit trail."""


@command.command("anchor")
@answering
def anchor() -> Answer:
    """Print a signed note of the present end of the trail; keep it on another machine."""
    text = audit_proof.make_anchor(actor=cli_actor())
    return Answer(document={"anchor": text}, lines=[text])


@command.command("verify")
@click.option("--anchor", "anchor_text", help="A note from an earlier time.")
@answering
def verify(anchor_text: str | None) -> Answer:
    """Walk the whole trail; exit code 1 and the number of the first bad event."""
    proof = audit_proof.verify(actor=cli_actor(), anchor=anchor_text)
    if proof.valid:
        lines = [f"{proof.checked} events are as they were written.", f"Anchor: {proof.anchor}"]
    else:
        lines = [f"Event {proof.first_invalid} is not as it was written."]
    return Answer(document=proof, lines=lines, failed=not proof.valid)
