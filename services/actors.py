"""Who asks, how, and with which rights."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.errors import ForbiddenError
from services.permissions import PERMISSIONS, SITE_SCOPES


class Via(StrEnum):
    """The door an actor came through."""

    SESSION = "session"
    TOKEN = "token"
    CLI = "cli"
    SYSTEM = "system"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A user and the limits of the credential in use.

    `role_scopes` are the permissions of the global role and hold everywhere; a membership adds
    the permissions of its site role on that site (`services.access`). `token_scopes`,
    `token_site_ids` and `token_environments` only ever take away; None means no such limit.
    """

    via: Via
    user_id: int | None
    username: str | None
    role: str | None
    role_scopes: frozenset[str] = frozenset()
    sees_all_sites: bool = False
    token_scopes: frozenset[str] | None = None
    token_site_ids: frozenset[int] | None = None
    token_environments: frozenset[str] | None = None
    session_id: int | None = None
    token_id: int | None = None
    token_name: str | None = None
    address: str | None = None
    request_id: str | None = None
    expires_at: datetime | None = None
    warnings: tuple[str, ...] = field(default=())

    def limit(self, scopes: Collection[str]) -> frozenset[str]:
        """Return the part of `scopes` that the credential lets through."""
        held = frozenset(scopes)
        return held if self.token_scopes is None else held & self.token_scopes

    def holds(self, scope: str) -> bool:
        """Tell whether the actor holds `scope` everywhere."""
        return scope in self.role_scopes and self._lets_through(scope)

    def require(self, *scopes: str) -> None:
        """Refuse unless the actor holds all of `scopes` everywhere.

        Raises:
            ForbiddenError: with the scopes required and missing.
        """
        missing = [scope for scope in scopes if not self.holds(scope)]
        if missing:
            raise ForbiddenError.missing_scopes(required=scopes, missing=missing)

    def require_ever(self, *scopes: str) -> None:
        """Refuse when this credential could not hold one of `scopes` on any site.

        Rights on a single site come from memberships, so scopes that site roles can carry pass
        here and are decided where the site is known.
        """
        missing = [scope for scope in scopes if not self._could_hold(scope)]
        if missing:
            raise ForbiddenError.missing_scopes(required=scopes, missing=missing)

    def _could_hold(self, scope: str) -> bool:
        could = scope in self.role_scopes or scope in SITE_SCOPES
        return could and self._lets_through(scope)

    def _lets_through(self, scope: str) -> bool:
        return self.token_scopes is None or scope in self.token_scopes


def system_actor(request_id: str | None = None) -> Actor:
    """Return the actor of background work: every right, no user."""
    return Actor(
        via=Via.SYSTEM,
        user_id=None,
        username=None,
        role="system",
        role_scopes=frozenset(PERMISSIONS),
        sees_all_sites=True,
        request_id=request_id,
    )


def cli_actor(*, user_id: int | None = None, username: str | None = None) -> Actor:
    """Return the actor of the command line: whoever owns DATA_DIR may do everything."""
    return Actor(
        via=Via.CLI,
        user_id=user_id,
        username=username,
        role="cli",
        role_scopes=frozenset(PERMISSIONS),
        sees_all_sites=True,
    )
