"""Which releases lie behind the one that is shown: what a rollback without a name goes back to.

Online it is worked out from the rows of the history, offline from the journal. Both ask here, so
that they go the same way.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Name = TypeVar("Name", int, str)


def chain(
    moves: Iterable[tuple[Name, bool]], beneath: Sequence[Name] = (), *, is_complete: bool = True
) -> list[Name]:
    """Return what lies on top of each other after these moves; the last one is shown.

    A promotion lays its release on top. A rollback takes away all that lies on the release it
    returns to, the one just left included, so that the next rollback goes further back. Each
    rollback to something in the chain makes it shorter: going back ends, whatever was repeated.
    A rollback to what is not in the chain any more lays it on top, like a promotion.

    Args:
        moves: release, and whether it was a rollback; oldest first.
        beneath: the chain before these moves, the newest last.
        is_complete: whether the chain is known down to its beginning. Where it is not, a rollback
            to what is unknown went deeper than that.
    """
    shown = list(beneath)
    for release, is_return in moves:
        if is_return and is_behind(shown, release):
            shown.pop()
            while shown[-1] != release:
                shown.pop()
        elif is_return and not is_complete:
            shown = [release]
        else:
            shown.append(release)
    return shown


def is_behind(shown: Sequence[Name], release: Name) -> bool:
    """Tell whether a rollback to this release goes back along the chain."""
    return release in shown[:-1]


def way_back(shown: Sequence[Name], present: Name | None) -> list[Name]:
    """Return where a rollback may go, the nearest first; each release once.

    Args:
        shown: the chain.
        present: what is shown; after a move by hand it is not the end of the chain.
    """
    behind = shown[:-1] if shown and shown[-1] == present else shown
    return [release for release in dict.fromkeys(reversed(behind)) if release != present]
