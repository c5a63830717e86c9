"""`relevo sites promote` and `rollback`."""

import os
import pwd

import click

from cli.output import EXIT_CODES, Answer, answering, size
from cli.parameters import bounded, line, release_number
from cli.parameters import release as release_reference
from models.promotions import Promotion
from services import offline, promotion_views, promotions, rollbacks
from services.actors import cli_actor
from services.offline import OfflineMove
from services.promotion_rules import PromotionOrder, Unset
from services.promotion_views import PromotionView
from services.promotions import DryRun

NOTHING_YET = 0


@click.command("promote", epilog=EXIT_CODES)
@click.argument("slug")
@click.option("--to", default="main", show_default=True, help="The environment that changes.")
@click.option("--from", "source", help="Take what this environment shows; test by default.")
@click.option("--release", type=release_reference, help="A number, or commit:<sha>.")
@click.option(
    "--expected-release",
    type=click.IntRange(min=NOTHING_YET),
    help="Refuse unless this release is live now; 0 for none yet.",
)
@click.option("--plan-hash", help="Refuse unless the plan is still this one.")
@click.option("--comment", type=bounded(2000), help="For the history.")
@click.option("--allow-older", is_flag=True, help="Also a release uploaded before the live one.")
@click.option("--allow-bad", is_flag=True, help="Also a release marked bad.")
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, change nothing.")
@answering
def promote(
    slug: str,
    to: str,
    source: str | None,
    release: int | str | None,
    expected_release: int | None,
    plan_hash: str | None,
    comment: str | None,
    allow_older: bool,
    allow_bad: bool,
    dry_run: bool,
) -> Answer:
    """Make main show what test shows, or exactly the release you name."""
    order = PromotionOrder(
        to=to,
        from_environment=source,
        release=release,
        expected_release=_expected(expected_release),
        plan_hash=plan_hash,
        comment=comment,
        allow_older=allow_older,
        allow_bad=allow_bad,
    )
    if dry_run:
        return _told(promotions.dry_run(actor=cli_actor(), slug=slug, order=order), to)
    return moved(slug, promotions.promote(actor=cli_actor(), slug=slug, order=order))


@click.command("rollback", epilog=EXIT_CODES)
@click.argument("slug")
@click.option("--environment", default="main", show_default=True, help="What to roll back.")
@click.option("--release", help="Go to this number; offline also 12 digits of a digest.")
@click.option("--backup", help="Go to this restore point.")
@click.option("--reason", type=line(500), help="Why; shown to whoever meets the hold.")
@click.option("--offline", "is_offline", is_flag=True, help="Use the disk alone.")
@answering
def rollback(
    slug: str,
    environment: str,
    release: str | None,
    backup: str | None,
    reason: str | None,
    is_offline: bool,
) -> Answer:
    """Show what was live before, and hold the environment against automatic changes.

    With --offline neither API nor database are needed. The history gets to know of it when the
    database is back: by itself within a minute, or with `relevo sites recover`.
    """
    if is_offline:
        if backup is not None:
            raise click.UsageError("--backup needs the database; name a --release.")
        return _moved_offline(
            offline.roll_back_offline(
                slug=slug, environment=environment, to=release, by=_user_name(), reason=reason
            )
        )
    made = rollbacks.roll_back(
        actor=cli_actor(),
        slug=slug,
        environment=environment,
        release=None if release is None else release_number(release),
        backup=backup,
        reason=reason,
    )
    return moved(slug, promotions.loaded(made))


def moved(slug: str, promotion: Promotion) -> Answer:
    """Tell what a promotion did."""
    (view,) = promotion_views.describe(slug=slug, promotions=[promotion])
    return Answer(document=view, lines=[sentence(view)])


def sentence(view: PromotionView) -> str:
    """Tell in one line what an environment shows since a promotion."""
    if view.state in ("pending_approval", "queued"):
        return f"Request {view.request} asks for approval to show release {view.release} there."
    if view.result == "unchanged":
        return f"{view.to_environment} shows release {view.release} already: {view.url}"
    before = f" (before: {view.previous_release})" if view.previous_release else ""
    return f"{view.to_environment} shows release {view.release} now{before}: {view.url}"


def _told(trial: DryRun, to: str) -> Answer:
    plan, refusal = trial.plan, trial.refusal
    document: dict[str, object] = {**vars(plan), "would": trial.would, "refusal": None}
    counts = ", ".join(f"{count} {kind}" for kind, count in plan.counts.items())
    lines = [f"Release {plan.release} to {to}: {counts}; {size(plan.bytes_added)} to add."]
    for mark, entries in (("+", plan.added), ("~", plan.changed), ("-", plan.removed)):
        lines += [f"{mark} {entry.path}" for entry in entries]
    if plan.truncated:
        lines.append("More files are not listed.")
    if refusal is not None:
        document["refusal"] = {"code": refusal.code, "detail": refusal.detail}
        lines.append(f"It would be refused: {refusal.detail} ({refusal.code.value})")
    return Answer(document=document, lines=lines, failed=refusal is not None)


def _moved_offline(move: OfflineMove) -> Answer:
    shown = f"release {move.release}" if move.release else f"the release {move.digest[:16]}"
    return Answer(
        document=move,
        lines=[
            f"{move.environment} shows {shown} now.",
            "The history gets to know of it when the database is back.",
        ],
    )


def _expected(number: int | None) -> int | Unset | None:
    if number is None:
        return Unset.UNSET
    return None if number == NOTHING_YET else number


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"#{os.getuid()}"
