"""`relevo doctor`: what could keep this installation from working."""

import click

from cli.output import EXIT_CODES, Answer, answering, table
from services import doctor
from services.doctor import Diagnosis, Verdict


@click.command("doctor", epilog=EXIT_CODES)
@answering
def command() -> Answer:
    """Look at permissions, clock, disk, proxy, ports, tables and recovery.

    Changes nothing. The exit code is 1 when there is a problem; warnings alone leave it 0.
    """
    found = doctor.examine()
    return Answer(
        document={"checks": found},
        lines=table([_row(diagnosis) for diagnosis in found]),
        failed=any(diagnosis.verdict is Verdict.PROBLEM for diagnosis in found),
    )


def _row(diagnosis: Diagnosis) -> tuple[str, ...]:
    advice = f" -> {diagnosis.advice}" if diagnosis.advice else ""
    return (diagnosis.verdict.value, diagnosis.name, f"{diagnosis.detail}{advice}")
