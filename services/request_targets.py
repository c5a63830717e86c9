"""Requests about a site or an environment that is deleted: they go no further.

Without its site or environment a request would be judged by what is left of the policies, perhaps
by none. One whose environment is gone becomes stale: it can be revised to name another one. One
whose site is gone is cancelled. Drafts stay, and are not submitted.
"""

import logging

from sqlalchemy import ColumnElement, and_, or_, select

from core.errors import DomainError
from models.engine import db
from models.environments import Environment
from models.requests import ChangeRequest, RequestState
from models.sites import Site
from services import request_endings, request_facts, request_log
from services.actors import Actor, system_actor
from services.transaction import end_reading, repeatable, transaction

logger = logging.getLogger("relevo.requests")

WAITING = (RequestState.PENDING, RequestState.NEEDS_INFO, RequestState.APPROVED)
NOT_CLOSED = (*WAITING, RequestState.STALE, RequestState.REJECTED, RequestState.FAILED)


def environment_removed(*, actor: Actor, site: Site, environment: str) -> None:
    """Let go of what waits to change an environment; call in the transaction that deletes it."""
    found = select(ChangeRequest.id).where(
        ChangeRequest.site_id == site.id,
        ChangeRequest.environment == environment,
        ChangeRequest.state.in_(WAITING),
    )
    for number in db.session.scalars(found).all():
        request = request_log.locked(number=number)
        if request.state in WAITING:
            request_endings.make_stale(
                actor=actor,
                request=request,
                changed=request_facts.gone("environment", environment),
            )


def site_removed(*, actor: Actor, site: Site) -> None:
    """Cancel what is about a site; call in the transaction that deletes it, before its rows."""
    found = select(ChangeRequest.id).where(
        ChangeRequest.site_id == site.id, ChangeRequest.state.in_(NOT_CLOSED)
    )
    for number in db.session.scalars(found).all():
        request = request_log.locked(number=number)
        if request.state in NOT_CLOSED:
            _cancel(actor, request)


def end_leftovers() -> None:
    """Do the same for what was filed at the moment of a deletion."""
    numbers = db.session.scalars(select(ChangeRequest.id).where(_has_lost_target())).all()
    end_reading()
    for number in numbers:
        try:
            _end(number)
        except DomainError as refusal:
            details = {"number": number, "code": refusal.code.value}
            logger.warning("request not ended", extra=details)


@repeatable()
def _end(number: int) -> None:
    with transaction():
        request = request_log.locked(number=number)
        changed = request_facts.missing_target(request=request)
        if request.state not in WAITING or not changed:
            return
        if request.site_id is None:
            _cancel(system_actor(), request)
        else:
            request_endings.make_stale(actor=system_actor(), request=request, changed=changed)


def _has_lost_target() -> ColumnElement[bool]:
    place = select(Environment.id).where(
        Environment.site_id == ChangeRequest.site_id, Environment.name == ChangeRequest.environment
    )
    return and_(
        ChangeRequest.state.in_(WAITING),
        or_(
            and_(ChangeRequest.site_id.is_(None), ChangeRequest.site_slug.is_not(None)),
            and_(ChangeRequest.environment.is_not(None), ~place.exists()),
        ),
    )


def _cancel(actor: Actor, request: ChangeRequest) -> None:
    reason = f"The site {request.site_slug} was deleted."
    request_endings.cancel(actor=actor, request=request, reason=reason)
