"""What happens to requests, written down: timeline, audit trail and outbox at once."""

from collections.abc import Mapping

from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, NotFoundError
from core.hooks import Hook
from models.engine import db
from models.request_events import RequestEvent
from models.requests import ChangeRequest, RequestState
from services import audit, request_moves
from services.actors import Actor
from services.paging import CursorPage, CursorRequest, cursor_page
from services.transaction import changed_rows


def _nobody(**_circumstances: object) -> None:
    """Nobody wants to know."""


moved: Hook[..., None] = Hook(_nobody)
"""Called with actor and request in the unit of work of every change of state."""
noted: Hook[..., None] = Hook(_nobody)
"""Called with actor, request and the kind of every event, in its unit of work."""


def locked(*, number: int) -> ChangeRequest:
    """Lock a request and read it afresh; call inside a transaction.

    Raises:
        NotFoundError: there is no such request.
    """
    request = db.session.get(
        ChangeRequest, number, with_for_update={"of": ChangeRequest}, populate_existing=True
    )
    if request is None:
        raise NotFoundError("There is no such request.")
    return request


def move(
    *,
    actor: Actor,
    request: ChangeRequest,
    to: RequestState,
    kind: str,
    detail: Mapping[str, object] | None = None,
    **values: object,
) -> None:
    """Bring a request into a state, or change it within one; a compare-and-set.

    Args:
        actor: who did it.
        request: a locked request.
        to: the state; the present one when only `values` change.
        kind: what to call it in the timeline.
        detail: what else to tell, as JSON values.
        values: further columns to write.

    Raises:
        ConflictError: `invalid_transition`, somebody else was faster.
        RuntimeError: the table of moves does not know this way.
    """
    before = request.state
    if to is not before and not request_moves.may_follow(before, to):
        raise RuntimeError(f"no move leads from {before} to {to}")
    changed = changed_rows(
        update(ChangeRequest)
        .where(
            ChangeRequest.id == request.id,
            ChangeRequest.state == before,
            ChangeRequest.version == request.version,
        )
        .values(state=to, version=request.version + 1, updated_at=utc_now(), **values)
        .execution_options(synchronize_session=False)
    )
    if changed == 0:
        raise ConflictError(
            "The request was changed by somebody else at this moment.",
            code=ErrorCode.INVALID_TRANSITION,
            members={"allowed_actions": []},
        )
    db.session.refresh(request)
    if to is not before:
        moved(actor=actor, request=request)
    note(actor=actor, request=request, kind=kind, detail=detail, before=before)


def note(
    *,
    actor: Actor,
    request: ChangeRequest,
    kind: str,
    detail: Mapping[str, object] | None = None,
    before: RequestState | None = None,
    comment_id: int | None = None,
) -> None:
    """Append an event; call inside the transaction of the change it tells of."""
    has_moved = before is not None and before is not request.state
    noted(actor=actor, request=request, kind=kind)
    db.session.add(
        RequestEvent(
            request_id=request.id,
            at=utc_now(),
            kind=kind,
            user_id=actor.user_id,
            via=actor.via.value,
            revision=request.revision,
            from_state=before.value if before and has_moved else None,
            to_state=request.state.value if has_moved else None,
            detail=dict(detail or {}),
            comment_id=comment_id,
        )
    )
    audit.record(
        actor=actor,
        action=f"request.{kind}",
        target=audit.Target(type="request", id=str(request.number), site_id=request.site_id),
        before={"state": before.value} if before and has_moved else None,
        after={
            "state": request.state.value,
            "type": request.type.value,
            "revision": request.revision,
            **(detail or {}),
        },
    )


def timeline(*, request: ChangeRequest, page: CursorRequest) -> CursorPage[RequestEvent]:
    """Return the events of a request, newest first; comments are among them."""
    query = select(RequestEvent).where(RequestEvent.request_id == request.id)
    return cursor_page(query, page, key=RequestEvent.id)


def last_actor(*, request: ChangeRequest, kind: str) -> int | None:
    """Return who caused the last event of a kind."""
    return db.session.scalar(
        select(RequestEvent.user_id)
        .where(RequestEvent.request_id == request.id, RequestEvent.kind == kind)
        .order_by(RequestEvent.id.desc())
        .limit(1)
    )


def has_event(*, request: ChangeRequest, kind: str) -> bool:
    """Tell whether something of a kind has happened to a request."""
    query = select(RequestEvent.id).where(
        RequestEvent.request_id == request.id, RequestEvent.kind == kind
    )
    return db.session.scalar(query.limit(1)) is not None
