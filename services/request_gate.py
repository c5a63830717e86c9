"""Where promotions meet requests: a protected environment asks, an approved one lets through.

Connected to the hooks of promotions when the application is made, so that promotions know
nothing of requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ConflictError, DomainError, ErrorCode, NotFoundError
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind
from models.releases import Release
from models.requests import ChangeRequest, RequestState, RequestType
from models.sites import Site
from services import (
    access,
    environments,
    plans,
    promotions,
    recovery,
    request_access,
    request_execution,
    request_expiry,
    request_guards,
    request_log,
    request_mail,
    request_submission,
    request_targets,
    requests,
    sites,
    switching,
    waiting_promotions,
)
from services.actors import Actor
from services.promotion_rules import Approval, PromotionOrder, check
from services.request_facts import Changed
from services.request_moves import Action
from services.request_payloads import PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading, repeatable, transaction

WRITE = ("sites:read", "promotions:write")


def connect() -> None:
    """Let promotions ask for approvals, and let requests follow them."""
    promotions.approval.connect(ask)
    switching.ended.connect(request_execution.promotion_ended)
    request_log.moved.connect(_follow)
    request_log.noted.connect(request_mail.tell)
    environments.removing.connect(request_targets.environment_removed)
    sites.removing.connect(request_targets.site_removed)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an attempt to promote came to: a promotion that is done, or a request to go on with."""

    promotion: Promotion | None = None
    number: int = 0
    by_actor: bool = False


def ask(*, actor: Actor, site: Site, environment: Environment, order: PromotionOrder) -> Promotion:
    """Answer an attempt to promote into a protected environment.

    What a promotion would be refused for is refused before anybody is asked. A release that is
    live already needs nobody. An approved request for the same thing that may run now is carried
    out. Otherwise one of the actor's that waits is shown again, or one is made; the promotion that
    comes back waits for approval.

    Raises:
        ConflictError: `approval_required` or `approval_stale` when the order says to refuse;
            `no_eligible_approver`; or what the promotion is refused for.
    """
    environment_id = environment.id
    _refuse_drift(site, environment.name)
    answer = _find_or_file(actor, site, environment_id, order)
    if answer.promotion is not None:
        return answer.promotion
    if answer.by_actor:
        _execute(actor, answer.number)
    else:
        request_execution.run_if_due(number=answer.number)
    return _promotion_of(answer.number)


@repeatable()
def _find_or_file(actor: Actor, site: Site, environment_id: int, order: PromotionOrder) -> Answer:
    """Decide with the environment locked, so that of equal attempts at a time one files."""
    with transaction():
        environment = switching.locked_environment(environment_id=environment_id)
        found, source = plans.source_release(
            site=site,
            to=environment,
            from_environment=order.from_environment,
            release=order.release,
        )
        candidate = db.session.get_one(Release, found.id)
        switching.lock_release(candidate)
        check(
            actor=actor,
            slug=site.slug,
            environment=environment,
            candidate=candidate,
            order=order,
        )
        if environment.release_id == candidate.id:
            done = promotions.unchanged(
                actor=actor,
                site=site,
                environment=environment,
                release=candidate,
                kind=PromotionKind.PROMOTE,
                comment=order.comment,
                from_environment=source,
            )
            return Answer(promotion=done)
        return (
            _approved(actor, environment, candidate, order)
            or _waiting(actor, environment, candidate, order)
            or _file(actor, environment, candidate, order, source)
        )


def _approved(
    actor: Actor, environment: Environment, candidate: Release, order: PromotionOrder
) -> Answer | None:
    """Return an approved request for the same thing that runs now, whoever filed it.

    Raises:
        ConflictError: there is none and the order says to refuse.
    """
    refusal: ConflictError | None = None
    for request in _same(environment, candidate, order, [RequestState.APPROVED]):
        rule = request_access.rule_of(request=request)
        changed = request_execution.changes(request=request, rule=rule)
        if changed:
            refusal = refusal or _stale(request, changed)
        elif _runs_now(request):
            if _may_execute(actor, request):
                return Answer(number=request.number, by_actor=True)
            if request.auto_execute:
                return Answer(number=request.number)
    if order.approval is Approval.REFUSE:
        raise refusal or ConflictError(
            "Promotions into this environment need an approval, and there is none for this "
            "release that counts now.",
            code=ErrorCode.APPROVAL_REQUIRED,
        )
    return None


def _waiting(
    actor: Actor, environment: Environment, candidate: Release, order: PromotionOrder
) -> Answer | None:
    """Return a request of the actor for the same thing that waits for an answer."""
    for request in _same(
        environment, candidate, order, [RequestState.PENDING, RequestState.NEEDS_INFO]
    ):
        is_own = request.requester_id == actor.user_id
        if is_own and request.auto_execute and request.scheduled_for is None:
            return Answer(number=request.number)
    return None


def _file(
    actor: Actor,
    environment: Environment,
    candidate: Release,
    order: PromotionOrder,
    source: str | None,
) -> Answer:
    slug = environment.site.slug
    wish = RequestOrder(
        title=f"Promote release {candidate.number} of {slug} to {environment.name}",
        body=order.comment or "",
        site=slug,
        environment=environment.name,
        payload=PromotionPayload(
            from_environment=source if order.release is None else None,
            release=candidate.number,
            comment=order.comment,
            allow_older=order.allow_older,
            allow_bad=order.allow_bad,
        ),
    )
    request = requests.draft_of(actor=actor, order=wish)
    request_submission.put_forward(actor=actor, request=request)
    return Answer(number=request.number)


def _same(
    environment: Environment,
    candidate: Release,
    order: PromotionOrder,
    states: Sequence[RequestState],
) -> list[ChangeRequest]:
    """Return the requests that would do what the order says, newest first.

    A comment changes nothing of what runs, so it makes no other request.
    """
    found = db.session.scalars(
        select(ChangeRequest)
        .where(
            ChangeRequest.type == RequestType.PROMOTION,
            ChangeRequest.site_id == environment.site_id,
            ChangeRequest.environment == environment.name,
            ChangeRequest.release_id == candidate.id,
            ChangeRequest.state.in_(states),
            ~request_expiry.over(),
        )
        .order_by(ChangeRequest.id.desc())
    )
    options = {"allow_older": order.allow_older, "allow_bad": order.allow_bad}
    return [
        request
        for request in found
        if all(bool(request.payload.get(name)) is value for name, value in options.items())
    ]


def _runs_now(request: ChangeRequest) -> bool:
    """Tell whether the time of an approved request has come."""
    return request.scheduled_for is None or request.scheduled_for <= utc_now()


def _stale(request: ChangeRequest, changed: Changed) -> ConflictError:
    return ConflictError(
        f"Request {request.number} was approved, and what was approved is not what would happen "
        "now.",
        code=ErrorCode.APPROVAL_STALE,
        members={"request": request.number, "changed": changed},
    )


def _execute(actor: Actor, number: int) -> None:
    """Carry an approved request out; a refusal names it."""
    try:
        request_execution.execute(actor=actor, number=number)
    except DomainError as refusal:
        refusal.members.setdefault("request", number)
        raise


def _refuse_drift(site: Site, environment: str) -> None:
    """Refuse where an operator has to choose; a promotion that runs now looks for itself.

    Raises:
        ConflictError: `drift_detected`.
    """
    try:
        with switching.environment_turn(slug=site.slug, environment=environment):
            recovery.settle(site=site, environment_name=environment)
    except ConflictError as refusal:
        if refusal.code is not ErrorCode.PROMOTION_IN_PROGRESS:
            raise


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


def _promotion_of(number: int) -> Promotion:
    end_reading()
    return db.session.scalars(
        select(Promotion)
        .where(Promotion.request_id == number)
        .order_by(Promotion.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).one()
