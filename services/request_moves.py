"""The moves of requests as data: who may do what in which state, and where it leads.

Everything that decides about a move reads this table: `allowed_actions`, the refusals, the
compare-and-set that writes the new state, and the test that walks all cells.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.requests import RequestState as State
from models.requests import RequestType as Type


class Action(StrEnum):
    """What can be done to a request."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    REQUEST_INFO = "request-info"
    ANSWER = "answer"
    REVISE = "revise"
    EXECUTE = "execute"
    RETRY = "retry"
    OVERRIDE = "override"
    RESOLVE = "resolve"
    CANCEL = "cancel"


class Party(StrEnum):
    """What somebody is to a request; the same person may be several.

    AUTHOR filed it. REQUESTER filed it and can still see its site, if it is about one. REVIEWER
    and OVERRIDER never include the author or who would benefit; REJECTER leaves out the author
    only, as does VOTER, whose verdict on this revision counts. ASSIGNEE may be the author.
    """

    AUTHOR = "author"
    REQUESTER = "requester"
    REVIEWER = "reviewer"
    REJECTER = "rejecter"
    VOTER = "voter"
    EXECUTOR = "executor"
    OVERRIDER = "overrider"
    ASSIGNEE = "assignee"
    ADMIN = "admin"
    SYSTEM = "system"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One action: from where, by whom, to where at last, and for which types (all when empty).

    An action may also leave the state as it is, as a vote does that is not the last one needed.
    `only` names the states in which fewer parties may do it.
    """

    action: Action
    sources: frozenset[State]
    target: State
    parties: frozenset[Party]
    types: frozenset[Type] = frozenset()
    only: Mapping[State, frozenset[Party]] = field(default_factory=dict)

    def parties_in(self, state: State) -> frozenset[Party]:
        """Return who may do it in a state."""
        return self.only.get(state, self.parties)


CAN_RUN = frozenset({Type.PROMOTION, Type.DATABASE, Type.ACCESS})
OPEN = frozenset({State.PENDING, State.NEEDS_INFO, State.APPROVED})
FINAL = frozenset({State.COMPLETED, State.CANCELLED, State.EXPIRED})
MOST_RETRIES = 3

MOVES: dict[Action, Move] = {
    move.action: move
    for move in (
        Move(
            action=Action.SUBMIT,
            sources=frozenset({State.DRAFT}),
            target=State.PENDING,
            parties=frozenset({Party.REQUESTER}),
        ),
        Move(
            action=Action.APPROVE,
            sources=frozenset({State.PENDING}),
            target=State.APPROVED,
            parties=frozenset({Party.REVIEWER}),
        ),
        Move(
            action=Action.REJECT,
            sources=frozenset({State.PENDING}),
            target=State.REJECTED,
            parties=frozenset({Party.REJECTER}),
        ),
        Move(
            action=Action.WITHDRAW,
            sources=frozenset({State.PENDING, State.APPROVED}),
            target=State.PENDING,
            parties=frozenset({Party.VOTER}),
        ),
        Move(
            action=Action.REQUEST_INFO,
            sources=frozenset({State.PENDING}),
            target=State.NEEDS_INFO,
            parties=frozenset({Party.REJECTER}),
        ),
        Move(
            action=Action.ANSWER,
            sources=frozenset({State.NEEDS_INFO}),
            target=State.PENDING,
            parties=frozenset({Party.REQUESTER}),
        ),
        Move(
            action=Action.REVISE,
            sources=frozenset({State.PENDING, State.NEEDS_INFO, State.STALE, State.REJECTED}),
            target=State.DRAFT,
            parties=frozenset({Party.REQUESTER}),
        ),
        Move(
            action=Action.EXECUTE,
            sources=frozenset({State.APPROVED}),
            target=State.EXECUTING,
            parties=frozenset({Party.REQUESTER, Party.EXECUTOR, Party.SYSTEM}),
            types=CAN_RUN,
        ),
        Move(
            action=Action.RETRY,
            sources=frozenset({State.FAILED}),
            target=State.EXECUTING,
            parties=frozenset({Party.REQUESTER, Party.EXECUTOR}),
            types=CAN_RUN,
        ),
        Move(
            action=Action.OVERRIDE,
            sources=frozenset({State.PENDING}),
            target=State.APPROVED,
            parties=frozenset({Party.OVERRIDER}),
        ),
        Move(
            action=Action.RESOLVE,
            sources=frozenset({State.PENDING, State.APPROVED}),
            target=State.COMPLETED,
            parties=frozenset({Party.ASSIGNEE, Party.REVIEWER}),
            only={State.PENDING: frozenset({Party.REVIEWER})},
            types=frozenset({Type.GENERAL}),
        ),
        Move(
            action=Action.CANCEL,
            sources=frozenset(
                {
                    State.DRAFT,
                    State.PENDING,
                    State.NEEDS_INFO,
                    State.APPROVED,
                    State.STALE,
                    State.REJECTED,
                    State.FAILED,
                }
            ),
            target=State.CANCELLED,
            parties=frozenset({Party.AUTHOR, Party.ADMIN}),
        ),
    )
}

BY_THE_SYSTEM: frozenset[tuple[State, State]] = frozenset(
    {
        (State.PENDING, State.EXPIRED),
        (State.APPROVED, State.EXPIRED),
        (State.APPROVED, State.STALE),
        (State.EXECUTING, State.COMPLETED),
        (State.EXECUTING, State.FAILED),
        # The environment was deleted.
        (State.PENDING, State.STALE),
        (State.NEEDS_INFO, State.STALE),
        # Where no policy asks for approval: submitted means approved.
        (State.PENDING, State.APPROVED),
    }
)


def may_follow(source: State, target: State) -> bool:
    """Tell whether some move, or the system, leads from one state to the other."""
    if (source, target) in BY_THE_SYSTEM:
        return True
    return any(source in move.sources and move.target is target for move in MOVES.values())


def allowed(*, state: State, kind: Type, parties: Collection[Party]) -> list[Action]:
    """Return the actions of the table for somebody who is all of `parties`."""
    return [
        move.action
        for move in MOVES.values()
        if state in move.sources
        and move.parties_in(state) & frozenset(parties)
        and (not move.types or kind in move.types)
    ]
