"""`relevo tokens`: API tokens for people who set up pipelines on the host."""

import click

from cli.output import EXIT_CODES, Answer, answering, table
from core.clock import isoformat
from services import tokens, users
from services.actors import Actor, Via, cli_actor
from services.paging import MAX_PER_PAGE, PageRequest
from services.permissions import TokenPreset
from services.tokens import TokenOrder, TokenView

PRESETS = click.Choice([preset.value for preset in TokenPreset])


@click.group("tokens", epilog=EXIT_CODES)
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
@answering
def create(
    username: str,
    name: str,
    preset: str | None,
    scopes: tuple[str, ...],
    sites: tuple[str, ...],
    environments: tuple[str, ...],
    cidrs: tuple[str, ...],
    days: int | None,
) -> Answer:
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
    return Answer(document={**_document(view), "token": view.token}, lines=[view.token or ""])


@command.command("list")
@click.argument("username")
@answering
def list_all(username: str) -> Answer:
    """List the tokens of USERNAME: id, beginning, state, expiry, name."""
    owner, number = _owner(username), 1
    found: list[TokenView] = []
    while True:
        request = PageRequest(page=number, per_page=MAX_PER_PAGE, sort="-created_at")
        page = tokens.list_own(actor=owner, page=request)
        found += page.items
        if page.next is None:
            break
        number = page.next
    rows = [
        (
            view.row.public_id,
            view.row.prefix,
            view.state.value,
            isoformat(view.row.expires_at),
            view.row.name,
        )
        for view in found
    ]
    lines = table(rows) if rows else ["No tokens."]
    return Answer(document={"items": [_document(view) for view in found]}, lines=lines)


@command.command("revoke")
@click.argument("username")
@click.argument("token_id")
@answering
def revoke(username: str, token_id: str) -> Answer:
    """End the token TOKEN_ID of USERNAME."""
    tokens.revoke(actor=_owner(username), public_id=token_id)
    return Answer(document={"id": token_id}, lines=[f"Revoked {token_id}."])


def _document(view: TokenView) -> dict[str, object]:
    row = view.row
    return {
        "id": row.public_id,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "state": view.state,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }


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
