"""What waits for somebody: to review, to answer, to carry out, to take care of."""

from sqlalchemy import ColumnElement, and_, or_, select

from models.engine import db
from models.requests import (
    ChangeRequest,
    RequestState,
    request_assignees,
)
from services import request_access, request_guards, request_post_reviews
from services.actors import Actor
from services.paging import Page, PageRequest, paginate
from services.request_moves import OPEN, Action
from services.request_standing import Viewer
from services.requests import SORTABLE

MINE = frozenset({Action.ANSWER, Action.REVISE, Action.EXECUTE, Action.RETRY, Action.SUBMIT})
MOST_LOOKED_AT = 1_000
"""How many open requests one inbox looks through, newest first."""


def inbox(*, actor: Actor, page: PageRequest) -> Page[ChangeRequest]:
    """Return what waits for the actor, newest first.

    Somebody else's request that they may approve and have not judged yet, an emergency to review
    afterwards, what they are assigned to, and their own ones where it is their turn.
    """
    query = request_access.visible_requests(actor=actor).where(_could_wait(actor))
    newest = query.order_by(ChangeRequest.id.desc()).limit(MOST_LOOKED_AT)
    viewer = Viewer(actor)
    waiting = [request.id for request in db.session.scalars(newest) if _waits(viewer, request)]
    wanted = select(ChangeRequest).where(ChangeRequest.id.in_(waiting))
    return paginate(wanted, page, sortable=SORTABLE, default="-number", tiebreak=ChangeRequest.id)


def _could_wait(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that narrows the search; what is left is looked at one by one."""
    assigned = select(request_assignees.c.request_id).where(
        request_assignees.c.user_id == actor.user_id
    )
    mine = and_(
        ChangeRequest.requester_id == actor.user_id,
        ChangeRequest.state.in_(
            [
                RequestState.DRAFT,
                RequestState.NEEDS_INFO,
                RequestState.STALE,
                RequestState.REJECTED,
                RequestState.FAILED,
                RequestState.APPROVED,
            ]
        ),
    )
    return or_(
        ChangeRequest.state == RequestState.PENDING,
        and_(ChangeRequest.id.in_(assigned), ChangeRequest.state.in_(OPEN)),
        mine,
        _due_afterwards(),
    )


def _due_afterwards() -> ColumnElement[bool]:
    return and_(
        ChangeRequest.post_review_due_at.is_not(None), ChangeRequest.post_reviewed_at.is_(None)
    )


def _waits(viewer: Viewer, request: ChangeRequest) -> bool:
    actor = viewer.actor
    if request.state in OPEN and any(user.id == actor.user_id for user in request.assignees):
        return True
    actions = request_guards.allowed_actions(actor=actor, request=request, viewer=viewer)
    if actor.user_id is not None and request.requester_id == actor.user_id:
        is_others_turn = request.state is RequestState.PENDING
        runs_itself = request.state is RequestState.APPROVED and request.auto_execute
        return not is_others_turn and not runs_itself and bool(MINE & set(actions))
    if Action.APPROVE in actions:
        return True
    return request_post_reviews.may_review_afterwards(actor=actor, request=request)
