"""`relevo sites`: make sites, publish them, promote them, and find the way back."""

import click

from cli import promotions, recovery, releases, web_server
from cli.documents import fields_of
from cli.output import EXIT_CODES, Answer, answering, table
from cli.parameters import bounded, line
from services import environment_views, environments, site_reads, site_views, sites
from services.actors import cli_actor
from services.environment_views import EnvironmentView
from services.paging import MAX_PER_PAGE, PageRequest
from services.site_views import SiteView


@click.group("sites", epilog=EXIT_CODES)
def command() -> None:
    """Publish, promote and roll back sites.

    Every command takes --json and then prints exactly one document, refusals included.
    """


@command.command("list")
@click.option("--query", "-q", help="Words in slug, name or description.")
@answering
def list_all(query: str | None) -> Answer:
    """List all sites."""
    views = _all_sites(query)
    rows = [("SLUG", "NAME", "ADDRESS"), *((view.slug, view.name, view.url) for view in views)]
    return Answer(document={"items": views}, lines=table(rows) if views else ["No sites."])


@command.command("show")
@click.argument("slug")
@answering
def show(slug: str) -> Answer:
    """Show what the environments of SLUG serve."""
    view = site_reads.get_view(actor=cli_actor(), slug=slug)
    found = environments.list_environments(actor=cli_actor(), slug=slug)
    places = environment_views.describe(slug=slug, environments=found)
    header = ("ENVIRONMENT", "RELEASE", "BEFORE", "STATE", "ADDRESS")
    return Answer(
        document={**fields_of(view), "environments": places},
        lines=table([header, *(_row(place) for place in places)]),
    )


@command.command("create")
@click.argument("slug")
@click.option("--name", type=line(120), help="What people call it; SLUG by default.")
@click.option("--description", type=bounded(2000), default="", help="What it is.")
@answering
def create(slug: str, name: str | None, description: str) -> Answer:
    """Make the site SLUG with the environments test and main."""
    site = sites.create_site(
        actor=cli_actor(), slug=slug, name=name or slug, description=description
    )
    (view,) = site_views.describe(sites=[site])
    return Answer(document=view, lines=[f"Created {slug}; main will be at {view.url}"])


for part in (
    releases.push,
    promotions.promote,
    promotions.rollback,
    recovery.recover,
    releases.verify,
    releases.prune,
    web_server.nginx_config,
):
    command.add_command(part)


def _all_sites(query: str | None) -> list[SiteView]:
    views: list[SiteView] = []
    number: int | None = 1
    while number is not None:
        page = PageRequest(page=number, per_page=MAX_PER_PAGE, sort="slug", q=query)
        found = site_reads.list_views(actor=cli_actor(), page=page)
        views += found.items
        number = found.next
    return views


def _row(place: EnvironmentView) -> tuple[str, ...]:
    marks = {"locked": place.lock, "held": place.hold}
    state = ", ".join(name for name, mark in marks.items() if mark is not None) or "open"
    return place.name, _number(place.release), _number(place.previous_release), state, place.url


def _number(release: int | None) -> str:
    return "-" if release is None else str(release)
