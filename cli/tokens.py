"""`relevo tokens`: API tokens for people who set up pipelines on the host."""

import click
from flask.cli import with_appcontext

from cli.refusals import tell_refusals
from core.clock import isoformat
from services import tokens, users
from services.actors import Actor, Via, cli_actor
from services.paging import MAX_PER_PAGE, PageRequest
from services.permissions import TokenPreset
from services.tokens import TokenOrder

PRESETS = click.Choice([preset.value for preset in TokenPreset])


@click.group("tokens")
def command() -> None:
    """Make, list and revoke API tokens."""


@command.command("create")
@click.argument("username")
@click.option("--name", required=True, help="What it is for.")
@click.option("--preset", type=PRESETS, help="A named set of scopes.")
@click.option("--scope", "scopes", multiple=True, help="A scope; may be repeated.")
@click.option("--site", "sites", multiple=True, help="Only this site; may be repeated.")
@click.option("--environment", "environments", multiple=True, help="Only this environment.")
@click.option("--cidr", "cidrs", multiple=True, help="Only from these addresses.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires.")
@with_appcontext
@tell_refusals
def create(
    username: str,
    name: str,
    preset: str | None,
    scopes: tuple[str, ...],
    sites: tuple[str, ...],
    environments: tuple[str, ...],
    cidrs: tuple[str, ...],
    days: int | None,
) -> None:
    """Make a token of USERNAME and print it, this once."""
    if (preset is None) == (not scopes):
        raise click.UsageError("Give either --preset or --scope.")
    order = TokenOrder(
        name=name,
        scopes=scopes or None,
        preset=TokenPreset(preset) if preset else None,
        sites=sites or None,
        environments=environments or None,
        cidrs=cidrs or None,
        expires_in_days=days,
    )
    view = tokens.create(actor=_owner(username), order=order)
    click.echo(f"Expires at {isoformat(view.row.expires_at)}.", err=True)
    click.echo(view.token)


@command.command("list")
@click.argument("username")
@with_appcontext
@tell_refusals
def list_all(username: str) -> None:
    """List the tokens of USERNAME: id, beginning, state, expiry, name."""
    owner, number = _owner(username), 1
    while True:
        found = tokens.list_own(
            actor=owner, page=PageRequest(page=number, per_page=MAX_PER_PAGE, sort="-created_at")
        )
        for view in found.items:
            row = view.row
            expiry = isoformat(row.expires_at)
            click.echo(f"{row.public_id}\t{row.prefix}\t{view.state}\t{expiry}\t{row.name}")
        if found.next is None:
            return
        number = found.next


@command.command("revoke")
@click.argument("username")
@click.argument("token_id")
@with_appcontext
@tell_refusals
def revoke(username: str, token_id: str) -> None:
    """End the token TOKEN_ID of USERNAME."""
    tokens.revoke(actor=_owner(username), public_id=token_id)
    click.echo(f"Revoked {token_id}.")


def _owner(username: str) -> Actor:
    """Return the owner with the rights they have, so that a token never carries more."""
    user = users.get_user(actor=cli_actor(), username=username)
    return Actor(
        via=Via.CLI,
        user_id=user.id,
        username=user.username,
        role=user.role.name,
        role_scopes=frozenset(user.role.effective),
        sees_all_sites=user.role.sees_all_sites,
    )
