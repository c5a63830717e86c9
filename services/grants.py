"""Nobody grants more than they hold."""

from collections.abc import Collection

from core.errors import ErrorCode, ForbiddenError
from services.actors import Actor


def require_held(
    *, actor: Actor, scopes: Collection[str], held: Collection[str] | None = None
) -> None:
    """Refuse unless the actor holds all of `scopes`.

    Args:
        held: what the actor holds at the place in question; everywhere when left out.

    Raises:
        ForbiddenError: `scope_not_held`, with the scopes required and missing.
    """
    mine = actor.limit(actor.role_scopes) if held is None else held
    missing = set(scopes) - set(mine)
    if missing:
        raise ForbiddenError(
            "Nobody can give, change or take away more rights than they hold themselves.",
            code=ErrorCode.SCOPE_NOT_HELD,
            members={"required": sorted(scopes), "missing": sorted(missing)},
        )
