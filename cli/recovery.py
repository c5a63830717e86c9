"""`relevo sites recover`: settle what a crash or an offline rollback left."""

import click

from cli.output import EXIT_CODES, Answer, answering, table
from cli.promotions import moved
from core.errors import NotFoundError
from services import recovery
from services.actors import cli_actor
from services.recovery import Accept, Finding, Outcome

MEANINGS = {
    Outcome.CLEAN: "in order",
    Outcome.BUSY: "a promotion is running",
    Outcome.ROLLED_FORWARD: "an interrupted promotion was completed",
    Outcome.FAILED: "an interrupted promotion was marked failed; nothing had been switched",
    Outcome.IMPORTED: "offline rollbacks were written into the history",
    Outcome.DRIFT: "drift: the disk shows something else than the history says",
    Outcome.UNREADABLE: "the disk could not be read; the log says more",
}
SETTLED = set(Outcome) - {Outcome.DRIFT, Outcome.UNREADABLE}


@click.command("recover", epilog=EXIT_CODES)
@click.argument("slug", required=False)
@click.argument("environment", required=False)
@click.option(
    "--accept",
    "side",
    type=click.Choice([side.value for side in Accept]),
    help="Resolve drift: which side is right.",
)
@answering
def recover(slug: str | None, environment: str | None, side: str | None) -> Answer:
    """Make disk, database and history agree, and tell what was found (of SLUG, ENVIRONMENT).

    Drift is not touched until you say which side is right: --accept disk writes what is served
    into the history, --accept database serves what the history says. The exit code is 1 while
    something could not be settled.
    """
    if side is None:
        return _settled(slug, environment)
    if slug is None or environment is None:
        raise click.UsageError("--accept needs SLUG and ENVIRONMENT.")
    promotion = recovery.accept(
        actor=cli_actor(), slug=slug, environment_name=environment, side=Accept(side)
    )
    if promotion is None:
        line = f"{slug} {environment}: no drift, nothing to accept."
        return Answer(document={"promotion": None}, lines=[line])
    answer = moved(slug, promotion)
    return Answer(document={"promotion": answer.document}, lines=answer.lines)


def _settled(slug: str | None, environment: str | None) -> Answer:
    findings = [
        finding
        for finding in recovery.recover_all()
        if slug in (None, finding.site) and environment in (None, finding.environment)
    ]
    if slug is not None and not findings:
        raise NotFoundError("There is no such site or environment.")
    outcomes = {finding.outcome for finding in findings}
    lines = _lines(findings)
    if Outcome.DRIFT in outcomes:
        lines.append("Choose with: relevo sites recover SLUG ENVIRONMENT --accept disk|database")
    return Answer(document={"findings": findings}, lines=lines, failed=not outcomes <= SETTLED)


def _lines(findings: list[Finding]) -> list[str]:
    rows = [(finding.site, finding.environment, MEANINGS[finding.outcome]) for finding in findings]
    return table(rows) if rows else ["No sites."]
