"""`relevo jobs`: look at long work, stop it, and try again what failed."""

import click

from cli.output import EXIT_CODES, Answer, answering, table
from models.jobs import Job, JobState
from services import job_views, jobs
from services.actors import cli_actor
from services.job_views import JobView
from services.paging import MAX_PER_PAGE, PageRequest

STATES = [state.value for state in JobState]


@click.group("jobs", epilog=EXIT_CODES)
def command() -> None:
    """Look at long work, stop it, and try again what failed.

    Every command takes --json and then prints exactly one document, refusals included.
    """


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--kind", help="Only this kind, such as releases.process.")
@click.option("--site", help="Only those of this site.")
@answering
def list_newest(state: str | None, kind: str | None, site: str | None) -> Answer:
    """List the newest jobs."""
    page = PageRequest(per_page=MAX_PER_PAGE)
    found = jobs.list_jobs(actor=cli_actor(), page=page, state=state, kind=kind, site=site)
    views = job_views.describe(jobs=found.items, lines=job_views.LINES_IN_LISTS)
    header = ("ID", "KIND", "STATE", "SITE", "PROGRESS", "TRIES", "ERROR")
    lines = table([header, *map(_row, views)]) if views else ["No jobs."]
    return Answer(document={"items": views, "total": found.total}, lines=lines)


@command.command("show")
@click.argument("job_id", metavar="ID")
@answering
def show(job_id: str) -> Answer:
    """Show the job ID with its log."""
    view = _view(jobs.get_job(actor=cli_actor(), public_id=job_id))
    header = ("ID", "KIND", "STATE", "SITE", "PROGRESS", "TRIES", "ERROR")
    lines = table([header, _row(view)])
    if view.error is not None and view.error["detail"]:
        lines.append(str(view.error["detail"]))
    lines += [f"{line.at:%Y-%m-%d %H:%M:%S}Z  {line.message}" for line in view.log]
    return Answer(document=view, lines=lines)


@command.command("cancel")
@click.argument("job_id", metavar="ID")
@answering
def cancel(job_id: str) -> Answer:
    """Stop the job ID: at once while it waits, at its next good moment while it runs."""
    view = _view(jobs.cancel(actor=cli_actor(), public_id=job_id))
    done = "Cancelled" if view.state == "cancelled" else "Will stop soon:"
    return Answer(document=view, lines=[f"{done} {job_id}."])


@command.command("retry")
@click.argument("job_id", metavar="ID")
@answering
def retry(job_id: str) -> Answer:
    """Queue the job ID again after it failed or was cancelled."""
    view = _view(jobs.retry(actor=cli_actor(), public_id=job_id))
    return Answer(document=view, lines=[f"Queued {job_id} again."])


def _view(job: Job) -> JobView:
    return job_views.describe(jobs=[job])[0]


def _row(view: JobView) -> tuple[str, ...]:
    progress = view.progress
    how_far = f"{progress.done}/{progress.total} {progress.unit}" if progress.total else "-"
    error = str(view.error["code"]) if view.error else "-"
    tries = f"{view.attempts}/{view.max_attempts}"
    return view.id, view.kind, view.state, view.site or "-", how_far, tries, error
