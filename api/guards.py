"""Checks of the thing in the address, made before the body is read."""

from collections.abc import Callable

from services import access
from services.actors import Actor


def on_site(*scopes: str) -> Callable[..., None]:
    """Return a guard: 404 for a site the caller may not see, 403 without `scopes` on it."""

    def check(*, actor: Actor, slug: str, **_path: object) -> None:
        access.find_site(actor=actor, slug=slug, scopes=("sites:read", *scopes))

    return check
