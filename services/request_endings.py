"""How requests end that will not be carried out as they are; call these inside a transaction."""

from core.clock import utc_now
from models.requests import ChangeRequest, RequestState
from services import request_log
from services.actors import Actor
from services.request_facts import Changed


def make_stale(*, actor: Actor, request: ChangeRequest, changed: Changed) -> None:
    """Note that what was asked for or approved is not what would happen."""
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.STALE,
        kind="stale",
        detail={"changed": changed},
        changed=changed,
        paused_at=None,
    )


def cancel(*, actor: Actor, request: ChangeRequest, reason: str | None) -> None:
    """Note that nobody wants it any more."""
    request_log.move(
        actor=actor,
        request=request,
        to=RequestState.CANCELLED,
        kind="cancelled",
        detail={"reason": reason},
        closed_reason=reason,
        closed_at=utc_now(),
    )
