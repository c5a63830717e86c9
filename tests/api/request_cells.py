"""Who may do what to a request in which state: every cell, declared.

Rows are kinds of people, each with what they may do and in which states. Everything else is
refused: with 403 what they could do in no state, with 409 what the present state does not allow.
"""

from dataclasses import dataclass

from models.requests import RequestState as S
from services.request_moves import Action

REQUESTER, REVIEWER, VOTER = "requester", "reviewer", "voter"
EXECUTOR, READER, ADMIN = "executor", "reader", "admin"

OPEN_TO_CANCEL = (
    S.DRAFT, S.PENDING, S.NEEDS_INFO, S.APPROVED, S.STALE, S.REJECTED, S.FAILED,
)  # fmt: skip

# The states in which somebody may do something; an empty tuple is 409 everywhere, a missing
# entry 403 everywhere.
MAY: dict[str, dict[Action, tuple[S, ...]]] = {
    REQUESTER: {
        Action.SUBMIT: (S.DRAFT,),
        Action.ANSWER: (S.NEEDS_INFO,),
        Action.REVISE: (S.PENDING, S.NEEDS_INFO, S.STALE, S.REJECTED),
        Action.EXECUTE: (S.APPROVED,),
        Action.RETRY: (S.FAILED,),
        Action.CANCEL: OPEN_TO_CANCEL,
    },
    REVIEWER: {
        Action.APPROVE: (S.PENDING,),
        Action.REJECT: (S.PENDING,),
        Action.REQUEST_INFO: (S.PENDING,),
        Action.WITHDRAW: (),
        Action.RESOLVE: (S.PENDING, S.APPROVED),
    },
    VOTER: {
        Action.APPROVE: (),
        Action.REJECT: (),
        Action.REQUEST_INFO: (S.PENDING,),
        Action.WITHDRAW: (S.PENDING, S.APPROVED),
        Action.RESOLVE: (S.PENDING, S.APPROVED),
    },
    EXECUTOR: {Action.EXECUTE: (S.APPROVED,), Action.RETRY: (S.FAILED,)},
    READER: {},
    ADMIN: {
        Action.APPROVE: (S.PENDING,),
        Action.REJECT: (S.PENDING,),
        Action.REQUEST_INFO: (S.PENDING,),
        Action.WITHDRAW: (),
        Action.OVERRIDE: (S.PENDING,),
        Action.EXECUTE: (S.APPROVED,),
        Action.RETRY: (S.FAILED,),
        Action.RESOLVE: (S.PENDING, S.APPROVED),
        Action.CANCEL: OPEN_TO_CANCEL,
    },
}

# Where each action ends; what runs is over when the answer comes.
ENDS: dict[Action, S] = {
    Action.SUBMIT: S.PENDING,
    Action.APPROVE: S.APPROVED,
    Action.REJECT: S.REJECTED,
    Action.WITHDRAW: S.PENDING,
    Action.REQUEST_INFO: S.NEEDS_INFO,
    Action.ANSWER: S.PENDING,
    Action.REVISE: S.DRAFT,
    Action.EXECUTE: S.COMPLETED,
    Action.RETRY: S.COMPLETED,
    Action.OVERRIDE: S.APPROVED,
    Action.RESOLVE: S.COMPLETED,
    Action.CANCEL: S.CANCELLED,
}


@dataclass(frozen=True)
class Cell:
    """What happens when somebody of a kind does something in a state."""

    kind: str
    state: S
    action: Action

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        states = MAY[self.kind].get(self.action)
        if states is None:
            return 403
        return 200 if self.state in states else 409

    @property
    def code(self) -> str | None:
        """The code of the refusal."""
        if self.status == 409:
            votes_twice = self.action in (Action.APPROVE, Action.REJECT)
            votes_twice &= (self.kind, self.state) == (VOTER, S.PENDING)
            return "already_reviewed" if votes_twice else "invalid_transition"
        if self.status == 403:
            judges = (Action.APPROVE, Action.REJECT, Action.REQUEST_INFO, Action.RESOLVE)
            is_own = self.kind == REQUESTER and self.action in judges
            return "self_approval" if is_own else "scope_missing"
        return None

    @property
    def end(self) -> S:
        """The state afterwards."""
        return ENDS[self.action] if self.status == 200 else self.state


CELLS = tuple(Cell(kind, state, action) for kind in MAY for state in S for action in Action)
