"""Promotions that wait for the approval of a request: opened, closed and set going."""

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ErrorCode
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from models.releases import Release
from models.requests import ChangeRequest, RequestState
from services import audit, promotion_rows, switching
from services.actors import Actor
from services.promotion_facts import RUNNING_SLOT

WAITING = (PromotionState.PENDING_APPROVAL, PromotionState.QUEUED)
STATES: dict[RequestState, PromotionState] = {
    RequestState.PENDING: PromotionState.PENDING_APPROVAL,
    RequestState.NEEDS_INFO: PromotionState.PENDING_APPROVAL,
    RequestState.APPROVED: PromotionState.QUEUED,
    RequestState.REJECTED: PromotionState.REJECTED,
    RequestState.EXPIRED: PromotionState.EXPIRED,
    RequestState.STALE: PromotionState.SUPERSEDED,
    RequestState.DRAFT: PromotionState.SUPERSEDED,
    RequestState.CANCELLED: PromotionState.CANCELLED,
}
"""What a waiting promotion becomes when its request comes into a state."""


def find(*, request: ChangeRequest) -> Promotion | None:
    """Return the promotion that waits for a request, if there is one."""
    return db.session.scalar(
        select(Promotion)
        .where(Promotion.request_id == request.id, Promotion.state.in_(WAITING))
        .order_by(Promotion.id.desc())
        .limit(1)
    )


def latest(*, request: ChangeRequest) -> Promotion | None:
    """Return the last promotion of a request, whatever became of it."""
    return db.session.scalar(
        select(Promotion)
        .where(Promotion.request_id == request.id)
        .order_by(Promotion.id.desc())
        .limit(1)
    )


def follow(*, actor: Actor, request: ChangeRequest) -> None:
    """Bring the waiting promotion where its request is; call inside a transaction."""
    promotion = find(request=request)
    wanted = STATES.get(request.state)
    if promotion is None and wanted in WAITING:
        _open(request, wanted)
    elif promotion is not None and wanted is not None and promotion.state is not wanted:
        promotion.state = wanted
        if wanted not in WAITING:
            promotion.finished_at = utc_now()
            promotion.error_code, promotion.error_detail = _reason(request)
            audit.record(
                actor=actor,
                action=f"promotion.{wanted.value}",
                target=switching.promotion_target(site=promotion.site, number=promotion.number),
                after={"request": request.number},
            )


def rewrite(*, request: ChangeRequest) -> None:
    """Let the waiting promotion say what its request asks for now; call inside a transaction."""
    promotion = find(request=request)
    if promotion is not None and request.release is not None:
        promotion.release = request.release
        promotion.from_environment = _text(request, "from")
        promotion.comment = _text(request, "comment")


def start(
    *, request: ChangeRequest, environment: Environment, candidate: Release, plan_hash: str
) -> Promotion:
    """Set the waiting promotion going, or a new one; call inside the claiming transaction.

    Raises:
        IntegrityError: another one holds the slot.
    """
    promotion = find(request=request) or _open(request, PromotionState.QUEUED)
    promotion.state, promotion.phase = PromotionState.RUNNING, switching.PHASE_SWITCH
    promotion.slot = RUNNING_SLOT
    promotion.release, promotion.previous_release = candidate, environment.release
    promotion.generation = environment.generation + 1
    promotion.plan_hash = plan_hash
    promotion.started_at = utc_now()
    db.session.flush()  # the slot must be refused here, before anything else is written
    return promotion


def finish_unchanged(
    *, actor: Actor, request: ChangeRequest, environment: Environment, candidate: Release
) -> Promotion:
    """Record that the release is live already; call inside the claiming transaction."""
    promotion = find(request=request) or _open(request, PromotionState.QUEUED)
    promotion.state, promotion.result = PromotionState.SUCCEEDED, PromotionResult.UNCHANGED
    promotion.release, promotion.previous_release = candidate, environment.release
    promotion.generation = environment.generation
    promotion.started_at = promotion.finished_at = utc_now()
    promotion_rows.lift_hold(db.session.connection(), environment.id)
    audit.record(
        actor=actor,
        action="promotion.unchanged",
        target=switching.promotion_target(site=promotion.site, number=promotion.number),
        after={"release": candidate.number, "environment": environment.name},
    )
    return promotion


def _open(request: ChangeRequest, state: PromotionState) -> Promotion:
    environment = db.session.scalars(
        select(Environment).where(
            Environment.site_id == request.site_id, Environment.name == request.environment
        )
    ).one()
    promotion = Promotion(
        site=environment.site,
        environment_id=environment.id,
        number=promotion_rows.next_number(db.session.connection(), environment.site_id),
        kind=PromotionKind.PROMOTE,
        state=state,
        from_environment=_text(request, "from"),
        to_environment=environment.name,
        release=request.release,
        previous_release=environment.release,
        user_id=request.requester_id,
        via=request.via,
        comment=_text(request, "comment"),
        request_id=request.id,
        timings_ms={},
        created_at=utc_now(),
    )
    db.session.add(promotion)
    db.session.flush()  # so that the request can find it
    return promotion


def _reason(request: ChangeRequest) -> tuple[str | None, str | None]:
    """Return code and words for a promotion whose request came to nothing."""
    if request.state is RequestState.STALE:
        names = ", ".join(str(change["field"]) for change in request.changed or ())
        return ErrorCode.APPROVAL_STALE.value, f"What was approved has changed: {names}."
    return None, request.closed_reason


def _text(request: ChangeRequest, name: str) -> str | None:
    value = request.payload.get(name)
    return value if isinstance(value, str) else None
