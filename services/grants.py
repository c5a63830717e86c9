"""Nobody grants more than they hold."""

from collections.abc import Collection

from core.errors import ErrorCode, ForbiddenError
from services.actors import Actor

LENT = (
    "You hold these rights for a time only, by an access request. Nobody can give, change or take "
    "away rights that they do not hold for good."
)


def require_held(
    *,
    actor: Actor,
    scopes: Collection[str],
    held: Collection[str] | None = None,
    lent: Collection[str] = (),
) -> None:
    """Refuse unless the actor holds all of `scopes`.

    Args:
        held: what the actor holds for good at the place in question; everywhere when left out.
        lent: what an access request gave the actor there for a time, to say that it is not enough.

    Raises:
        ForbiddenError: `scope_not_held`, with the scopes required and missing.
    """
    mine = actor.limit(actor.role_scopes) if held is None else held
    missing = set(scopes) - set(mine)
    if missing:
        raise ForbiddenError(
            LENT
            if missing <= set(lent)
            else "Nobody can give, change or take away more rights than they hold themselves.",
            code=ErrorCode.SCOPE_NOT_HELD,
            members={"required": sorted(scopes), "missing": sorted(missing)},
        )
