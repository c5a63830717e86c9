"""Checks of the thing in the address, made before the body is read."""

from collections.abc import Callable

from services import access, environments, releases
from services.actors import Actor


def on_site(*scopes: str) -> Callable[..., None]:
    """Return a guard: 404 for a site the caller may not see, 403 without `scopes` on it."""

    def check(*, actor: Actor, slug: str, **_path: object) -> None:
        access.find_key(actor=actor, slug=slug, scopes=("sites:read", *scopes))

    return check


def on_environment(*scopes: str) -> Callable[..., None]:
    """Return a guard like `on_site`: also 404 for an environment that the site does not have.

    A token that is limited to other environments is refused with 403.
    """

    def check(*, actor: Actor, slug: str, name: str, **_path: object) -> None:
        site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", *scopes))
        environments.find_environment(site=site, name=name)
        for scope in scopes:
            access.require_environment(actor=actor, environment=name, scope=scope)

    return check


def on_release(*scopes: str) -> Callable[..., None]:
    """Return a guard like `on_site`: also 404 for a release that the site does not have."""

    def check(*, actor: Actor, slug: str, number: int, **_path: object) -> None:
        site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", *scopes))
        releases.find_release(site=site, number=number)

    return check
