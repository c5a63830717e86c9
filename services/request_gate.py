"""Where promotions meet requests: a protected environment asks, an approved one lets through.

Connected to the hooks of promotions when the application is made, so that promotions know
nothing of requests.
"""

from sqlalchemy import select

from core.errors import ConflictError, ErrorCode, NotFoundError
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion
from models.requests import ChangeRequest, RequestState, RequestType
from models.sites import Site
from services import (
    access,
    plans,
    promotions,
    request_execution,
    request_expiry,
    request_guards,
    request_log,
    request_mail,
    requests,
    switching,
    waiting_promotions,
)
from services.actors import Actor
from services.promotions import Approval, PromotionOrder
from services.request_moves import Action
from services.request_payloads import PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading

WRITE = ("sites:read", "promotions:write")


def connect() -> None:
    """Let promotions ask for approvals, and let requests follow them."""
    promotions.approval.connect(ask)
    switching.ended.connect(request_execution.promotion_ended)
    request_log.moved.connect(_follow)
    request_log.noted.connect(request_mail.tell)


def ask(*, actor: Actor, site: Site, environment: Environment, order: PromotionOrder) -> Promotion:
    """Answer an attempt to promote into a protected environment.

    An approved request for the same release is carried out. Otherwise one of the actor's that
    waits is shown again, or one is made; the promotion that comes back waits for approval.

    Raises:
        ConflictError: `approval_required` when the order says to refuse; `no_eligible_approver`;
            or what the promotion is refused for.
    """
    candidate, source = plans.source_release(
        site=site,
        to=environment,
        from_environment=order.from_environment,
        release=order.release,
    )
    promotions.check_beliefs(environment=environment, candidate=candidate, order=order)
    approved = _find(site, environment, candidate.id, RequestState.APPROVED)
    if approved is not None:
        promotions.check_gates(actor=actor, environment=environment)
        if _may_execute(actor, approved):
            request_execution.execute(actor=actor, number=approved.number)
        return _promotion_of(approved.number)
    if order.approval is Approval.REFUSE:
        raise ConflictError(
            "Promotions into this environment need an approval, and there is none for this "
            "release.",
            code=ErrorCode.APPROVAL_REQUIRED,
        )
    waiting = _find(site, environment, candidate.id, RequestState.PENDING, actor.user_id)
    if waiting is not None:
        return _promotion_of(waiting.number)
    request = requests.file_request(
        actor=actor,
        order=RequestOrder(
            title=f"Promote release {candidate.number} of {site.slug} to {environment.name}",
            body=order.comment or "",
            site=site.slug,
            environment=environment.name,
            payload=PromotionPayload(
                from_environment=source if order.release is None else None,
                release=candidate.number,
                comment=order.comment,
                allow_older=order.allow_older,
                allow_bad=order.allow_bad,
            ),
        ),
    )
    return _promotion_of(request.number)


def cancel_promotion(*, actor: Actor, slug: str, number: int) -> Promotion:
    """Give up a promotion that waits for approval, and its request with it.

    Raises:
        NotFoundError: site or promotion do not exist or may not be seen.
        ForbiddenError: promotions:write is missing there, or somebody else asked for it.
        ConflictError: `invalid_transition`, it does not wait.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    promotion = db.session.scalar(
        promotions.promotions_of(site=site).where(Promotion.number == number)
    )
    if promotion is None:
        raise NotFoundError("The site has no such promotion.")
    access.require_environment(
        actor=actor, environment=promotion.to_environment, scope="promotions:write"
    )
    if promotion.state not in waiting_promotions.WAITING or promotion.request_id is None:
        raise ConflictError(
            f"The promotion is {promotion.state.value}; only one that waits is cancelled.",
            code=ErrorCode.INVALID_TRANSITION,
            members={"allowed_actions": []},
        )
    request_id = promotion.request_id
    requests.cancel(actor=actor, number=request_id, reason="The promotion was cancelled.")
    return _promotion_of(request_id)


def _follow(*, actor: Actor, request: ChangeRequest) -> None:
    if request.type is RequestType.PROMOTION:
        waiting_promotions.follow(actor=actor, request=request)


def _may_execute(actor: Actor, request: ChangeRequest) -> bool:
    actions = request_guards.allowed_actions(actor=actor, request=request)
    return Action.EXECUTE.value in actions


def _find(
    site: Site,
    environment: Environment,
    release_id: int,
    state: RequestState,
    requester_id: int | None = None,
) -> ChangeRequest | None:
    query = select(ChangeRequest).where(
        ChangeRequest.type == RequestType.PROMOTION,
        ChangeRequest.site_id == site.id,
        ChangeRequest.environment == environment.name,
        ChangeRequest.release_id == release_id,
        ChangeRequest.state == state,
        ~request_expiry.over(),
    )
    if requester_id is not None:
        query = query.where(ChangeRequest.requester_id == requester_id)
    return db.session.scalar(query.order_by(ChangeRequest.id.desc()).limit(1))


def _promotion_of(number: int) -> Promotion:
    end_reading()
    return db.session.scalars(
        select(Promotion)
        .where(Promotion.request_id == number)
        .order_by(Promotion.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).one()
