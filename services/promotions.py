"""Promotions: the only thing that moves the pointer of an environment."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    NotFoundError,
    PreconditionError,
)
from core.extensions import site_store
from core.hooks import Hook
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from models.releases import Release
from models.requests import RequestType
from models.sites import Site
from services import access, approval_rules, audit, plans, recovery, switching
from services.actors import Actor, Via
from services.environments import is_locked
from services.paging import Page, PageRequest, matching, paginate
from services.plans import Plan
from services.switching import Stopwatch
from services.transaction import repeatable, transaction

WRITE = ("sites:read", "promotions:write")
ON_PURPOSE = frozenset({Via.SESSION, Via.CLI})
"""How people come in. What anything else does is automation, and a rollback's hold stops it."""
Guard = Callable[[], object]
SORTABLE = {"number": Promotion.number, "created_at": Promotion.created_at}


def _nobody_to_ask(**_circumstances: object) -> Promotion:
    raise ConflictError(
        "Promotions into this environment need an approval.", code=ErrorCode.APPROVAL_REQUIRED
    )


approval: Hook[..., Promotion] = Hook(_nobody_to_ask)
"""Called instead of promoting where a policy asks for approval: files or carries out a request."""


class Unset(Enum):
    """Tells a missing input from one that is null."""

    UNSET = "unset"


class Approval(StrEnum):
    """What to do where an approval is needed and there is none."""

    REQUEST = "request"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class PromotionOrder:
    """What to promote where, and what the caller believes to be true.

    Without `release` the source environment's release is promoted, without `from_environment`
    the source is the environment one rank below. `expected_release` is the number that must be
    live now, None for "nothing yet".
    """

    to: str
    from_environment: str | None = None
    release: int | str | None = None
    expected_release: int | Unset | None = Unset.UNSET
    plan_hash: str | None = None
    comment: str | None = None
    allow_older: bool = False
    allow_bad: bool = False
    approval: Approval = Approval.REQUEST


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a promotion would do: `would` is switch, unchanged or refuse."""

    plan: Plan
    would: str
    refusal: DomainError | None


def list_promotions(
    *,
    actor: Actor,
    slug: str,
    page: PageRequest,
    environment: str | None = None,
    state: str | None = None,
    kind: str | None = None,
) -> Page[Promotion]:
    """Return the promotions of a site, of one environment, state or kind if named."""
    site = access.find_site(actor=actor, slug=slug)
    query = promotions_of(site=site)
    filters = {"to_environment": environment, "state": state, "kind": kind}
    query = query.filter_by(**{key: value for key, value in filters.items() if value is not None})
    wanted = matching(page.q, Promotion.comment, Promotion.to_environment)
    if wanted is not None:
        query = query.where(wanted)
    return paginate(query, page, sortable=SORTABLE, default="-number", tiebreak=Promotion.id)


def get_promotion(*, actor: Actor, slug: str, number: int) -> Promotion:
    """Return one promotion.

    Raises:
        NotFoundError: site or promotion do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    promotion = db.session.scalar(promotions_of(site=site).where(Promotion.number == number))
    if promotion is None:
        raise NotFoundError("The site has no such promotion.")
    return promotion


def promotions_of(*, site: Site) -> Select[Promotion]:
    """Return a query for the promotions of a site the caller has already checked."""
    return select(Promotion).where(Promotion.site_id == site.id)


def promote(
    *, actor: Actor, slug: str, order: PromotionOrder, guard: Guard | None = None
) -> Promotion:
    """Make an environment show a release.

    The switch is one rename; visitors see the old release or the new one, never a mix. When the
    release is live already the promotion succeeds with result `unchanged`.

    Where a policy asks for approval, the promotion that comes back waits for it, unless somebody
    has approved it already.

    `guard` is called in the unit of work from which there is no way back; what it raises keeps
    the promotion from beginning.

    Raises:
        ForbiddenError: promotions:write is missing on this site or environment.
        InvalidInputError: environment or release do not exist.
        ConflictError: `approval_required`, `no_eligible_approver`, `environment_locked`,
            `environment_held`, `promotion_in_progress`, `older_release`, `release_not_ready`,
            `release_marked_bad`, `plan_changed`, `backup_failed` or `drift_detected`; nothing
            was changed.
        PreconditionError: `base_changed`, another release is live than expected.
        OperationFailedError: the switch failed; the release before is still served.
    """
    watch = Stopwatch()
    site, environment_id = _find(actor, slug, order)
    if approval_rules.could_ask(kind=RequestType.PROMOTION, site_id=site.id):
        environment = plans.environment_named(site=site, name=order.to, pointer="/to")
        if approval_rules.is_protected(environment=environment):
            _require_no_hold(actor, environment)
            if guard is not None:
                with transaction():
                    guard()
            return approval(actor=actor, site=site, environment=environment, order=order)
    with switching.environment_turn(slug=slug, environment=order.to):
        recovery.settle(site=site, environment_name=order.to)
        promotion = _begin(actor, site, environment_id, order, guard)
        watch.lap("check")
        if promotion.result is PromotionResult.UNCHANGED:
            return promotion
        return switching.execute(actor=actor, site=site, promotion=promotion, watch=watch)


def dry_run(*, actor: Actor, slug: str, order: PromotionOrder) -> DryRun:
    """Run every check of a promotion and tell what it would do, without doing it.

    Raises:
        InvalidInputError: environment or release do not exist.
        ConflictError: there is nothing to compare.
    """
    site, environment_id = _find(actor, slug, order)
    environment = db.session.get_one(Environment, environment_id)
    candidate, _ = _candidate(site, environment, order)
    refusal: DomainError | None = None
    unchanged = environment.release_id == candidate.id
    try:
        check(actor=actor, environment=environment, candidate=candidate, order=order)
        if not unchanged and approval_rules.is_protected(environment=environment):
            _nobody_to_ask()
    except DomainError as error:
        refusal = error
    would = "refuse" if refusal else "unchanged" if unchanged else "switch"
    plan = plans.build(site=site, environment=environment, candidate=candidate)
    return DryRun(plan=plan, would=would, refusal=refusal)


def unchanged(
    *,
    actor: Actor,
    site: Site,
    environment: Environment,
    release: Release,
    kind: PromotionKind,
    comment: str | None = None,
    from_environment: str | None = None,
) -> Promotion:
    """Record a promotion of what is live already; call inside a transaction.

    A promotion on purpose lifts the hold of a rollback, also when it moves nothing.
    """
    promotion = switching.new_promotion(
        actor=actor,
        site=site,
        environment=environment,
        release=release,
        kind=kind,
        comment=comment,
        from_environment=from_environment,
    )
    promotion.state, promotion.result = PromotionState.SUCCEEDED, PromotionResult.UNCHANGED
    promotion.slot, promotion.phase = None, None
    promotion.generation = environment.generation
    if kind is PromotionKind.PROMOTE:
        switching.clear_hold(environment)
    promotion.finished_at = utc_now()
    audit.record(
        actor=actor,
        action="promotion.unchanged",
        target=switching.promotion_target(site=site, promotion=promotion),
        after={"release": release.number, "environment": environment.name},
    )
    return promotion


def check_tree(*, environment: Environment, candidate: Release) -> None:
    """Refuse to switch to files that are not verified, or away from ones that are not kept.

    Verification happened when the upload ended and is repeated in the background, so this does
    not depend on the number of files.

    Raises:
        ConflictError: `release_not_ready` or `backup_failed`.
    """
    store, slug = site_store(), environment.site.slug
    if candidate.verified_at is None or not store.has_release(slug, candidate.digest):
        raise ConflictError(
            "The files of this release are not verified; upload it again.",
            code=ErrorCode.RELEASE_NOT_READY,
        )
    previous = environment.release
    if previous is not None and (
        previous.verified_at is None or not store.has_release(slug, previous.digest)
    ):
        raise ConflictError(
            "The release that is live now is damaged, so it cannot be kept as a restore point. "
            "Upload its content again to heal it.",
            code=ErrorCode.BACKUP_FAILED,
            members={"release": previous.number},
        )


def _find(actor: Actor, slug: str, order: PromotionOrder) -> tuple[Site, int]:
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    environment_id = plans.environment_id_named(site=site, name=order.to, pointer="/to")
    access.require_environment(actor=actor, environment=order.to, scope="promotions:write")
    return site, environment_id


@repeatable()
def _begin(
    actor: Actor,
    site: Site,
    environment_id: int,
    order: PromotionOrder,
    guard: Guard | None = None,
) -> Promotion:
    try:
        with transaction():
            if guard is not None:
                guard()
            environment = switching.locked_environment(environment_id=environment_id)
            candidate, source = _candidate(site, environment, order)
            switching.lock_release(candidate)
            check(actor=actor, environment=environment, candidate=candidate, order=order)
            plan_hash = plans.hash_of(environment=environment, candidate=candidate)
            if environment.release_id == candidate.id:
                return unchanged(
                    actor=actor,
                    site=site,
                    environment=environment,
                    release=candidate,
                    kind=PromotionKind.PROMOTE,
                    comment=order.comment,
                    from_environment=source,
                )
            return switching.new_promotion(
                actor=actor,
                site=site,
                environment=environment,
                release=candidate,
                kind=PromotionKind.PROMOTE,
                plan_hash=plan_hash,
                from_environment=source,
                comment=order.comment,
            )
    except IntegrityError as error:
        raise switching.in_progress() from error


def _candidate(
    site: Site, environment: Environment, order: PromotionOrder
) -> tuple[Release, str | None]:
    return plans.source_release(
        site=site,
        to=environment,
        from_environment=order.from_environment,
        release=order.release,
    )


def check(
    *, actor: Actor, environment: Environment, candidate: Release, order: PromotionOrder
) -> None:
    """Refuse what must not be promoted now; call with the environment locked.

    Raises:
        ConflictError: as `promote` does.
        PreconditionError: `base_changed`.
    """
    check_gates(actor=actor, environment=environment)
    check_beliefs(environment=environment, candidate=candidate, order=order)
    if environment.release_id == candidate.id:
        return
    if candidate.bad and not order.allow_bad:
        raise ConflictError(
            "This release is marked bad; say allow_bad to promote it all the same.",
            code=ErrorCode.RELEASE_MARKED_BAD,
        )
    live = environment.release
    if live is not None and not order.allow_older and is_older(candidate, live):
        raise ConflictError(
            f"Release {candidate.number} was last uploaded before release {live.number}, which "
            "is live; say allow_older to promote it all the same, or roll back.",
            code=ErrorCode.OLDER_RELEASE,
            members={"release": candidate.number, "live_release": live.number},
        )
    check_tree(environment=environment, candidate=candidate)


def is_older(candidate: Release, live: Release) -> bool:
    """Tell whether `candidate` was last submitted before `live`."""
    return (candidate.latest_submission_id or 0) < (live.latest_submission_id or 0)


def check_gates(*, actor: Actor, environment: Environment) -> None:
    """Refuse what a lock or a hold stops, whatever is to be promoted.

    Raises:
        ConflictError: `environment_locked` or `environment_held`.
    """
    if is_locked(environment=environment):
        raise ConflictError(
            f"The environment is locked by {environment.locked_by}: {environment.lock_reason}",
            code=ErrorCode.ENVIRONMENT_LOCKED,
            members={"allowed_actions": ["unlock", "rollback"]},
        )
    _require_no_hold(actor, environment)


def _require_no_hold(actor: Actor, environment: Environment) -> None:
    if environment.held_at is not None and actor.via not in ON_PURPOSE:
        raise ConflictError(
            f"The environment is held since a rollback by {environment.held_by}. A person who is "
            "signed in may promote on purpose or lift the hold.",
            code=ErrorCode.ENVIRONMENT_HELD,
            members={"allowed_actions": ["lift_hold"]},
        )


def check_beliefs(*, environment: Environment, candidate: Release, order: PromotionOrder) -> None:
    """Refuse an order that takes something for granted which does not hold.

    Raises:
        PreconditionError: `base_changed`.
        ConflictError: `plan_changed`.
    """
    live = environment.release.number if environment.release else None
    if order.expected_release is not Unset.UNSET and order.expected_release != live:
        raise PreconditionError(
            "Another release is live than the one you expected.",
            code=ErrorCode.BASE_CHANGED,
            members={"live_release": live},
        )
    present = plans.hash_of(environment=environment, candidate=candidate)
    if order.plan_hash is not None and order.plan_hash != present:
        raise ConflictError(
            "What this promotion would change is not what the plan showed; look at it again.",
            code=ErrorCode.PLAN_CHANGED,
            members={"plan_hash": present},
        )
