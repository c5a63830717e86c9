"""`relevo sites push`, `verify` and `prune`: releases come, are looked at, and go."""

from pathlib import Path

import click

from cli.output import EXIT_CODES, Answer, answering, progress, size
from cli.parameters import bounded
from cli.promotions import sentence
from services import drift, promotion_views, pushing, release_views, retention
from services.actors import cli_actor
from services.hosts import MAIN
from services.pushing import Archive, Push
from services.releases import ReceiveOptions, UploadNote
from services.retention import DEFAULT_KEEP, DEFAULT_OLDER_THAN_DAYS

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("push", epilog=EXIT_CODES)
@click.argument("slug")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--promote", "is_promoted", is_flag=True, help="Then promote this release to main.")
@click.option("--to", help="Publish to this environment, or to none; by default to test.")
@click.option("--message", type=bounded(500), help="What changed.")
@click.option("--commit", type=bounded(64), help="The commit it was built from.")
@click.option("--source-url", type=bounded(2000), help="Where it was built.")
@click.option("--strip", type=click.Choice(["auto", "0", "1"]), default="auto", show_default=True)
@click.option("--allow-secret-files", is_flag=True, help="Publish .env, keys and the like too.")
@answering
def push(
    slug: str,
    folder: Path,
    is_promoted: bool,
    to: str | None,
    message: str | None,
    commit: str | None,
    source_url: str | None,
    strip: str,
    allow_secret_files: bool,
) -> Answer:
    """Upload the files below DIR as a release of SLUG and publish it to test."""
    options = ReceiveOptions(
        strip=strip,
        allow_secret_files=allow_secret_files,
        note=UploadNote(message=message, commit=commit, source_url=source_url),
    )
    archive = _packed(folder)
    with archive.stream, progress("Uploading", archive.size_bytes) as advance:
        pushed = pushing.push(
            actor=cli_actor(),
            slug=slug,
            archive=archive,
            to=to,
            promote_to=MAIN if is_promoted else None,
            options=options,
            advance=advance,
        )
    return _pushed(slug, pushed)


@click.command("verify", epilog=EXIT_CODES)
@click.argument("slug", required=False)
@click.option("--full", is_flag=True, help="Read and hash every file.")
@answering
def verify(slug: str | None, full: bool) -> Answer:
    """Compare the files of all releases (of SLUG) with what they should be.

    A damaged release cannot be promoted any more. Uploading its content again heals it.
    """
    found = drift.ready_releases(actor=cli_actor(), slug=slug)
    damaged = []
    with progress("Verifying", len(found)) as advance:
        for release in found:
            if not drift.verify_release(release_id=release.id, full=full):
                damaged.append(release)
            advance(1)
    named = [{"site": release.site, "release": release.number} for release in damaged]
    lines = [f"{release.site}: release {release.number} is damaged." for release in damaged]
    return Answer(
        document={"verified": len(found), "damaged": named},
        lines=[*lines, f"Verified {len(found)} releases, {len(damaged)} are damaged."],
        failed=bool(damaged),
    )


@click.command("prune", epilog=EXIT_CODES)
@click.argument("slug")
@click.option("--keep", type=click.IntRange(min=1), default=DEFAULT_KEEP, show_default=True)
@click.option(
    "--older-than-days",
    type=click.IntRange(min=0),
    default=DEFAULT_OLDER_THAN_DAYS,
    show_default=True,
    help="Keep whatever was uploaded since.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would go and delete nothing.")
@answering
def prune(slug: str, keep: int, older_than_days: int, dry_run: bool) -> Answer:
    """Delete the files of old releases of SLUG that nothing needs.

    What is live, what was live before, and what is pinned stays.
    """
    pruned = retention.prune(
        actor=cli_actor(), slug=slug, keep=keep, older_than_days=older_than_days, dry_run=dry_run
    )
    verb = "Would delete" if dry_run else "Deleted"
    numbers = ", ".join(map(str, pruned.deleted)) or "nothing"
    line = f"{verb} {numbers}; {len(pruned.kept)} releases stay; {size(pruned.freed_bytes)} freed."
    return Answer(document=pruned, lines=[line])


def _packed(folder: Path) -> Archive:
    with progress("Packing", pushing.size_of(folder=folder)) as advance:
        return pushing.pack(folder=folder, advance=advance)


def _pushed(slug: str, pushed: Push) -> Answer:
    uploaded = pushed.uploaded
    release = release_views.describe_upload(slug=slug, uploaded=uploaded)
    moves = [*uploaded.published, uploaded.promotion, pushed.promotion]
    made = [promotion for promotion in moves if promotion is not None]
    views = promotion_views.describe(slug=slug, promotions=made)
    known = "" if uploaded.upload.created else "; its content was here already"
    line = f"Release {release.number}: {release.file_count} files, {size(release.size_bytes)}"
    return Answer(
        document={"release": release, "promotions": views},
        lines=[f"{line}{known}.", *map(sentence, views)],
    )
