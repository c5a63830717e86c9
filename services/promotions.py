"""Promotions: the only thing that moves the pointer of an environment."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy import Select, bindparam, select
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    NotFoundError,
)
from core.hooks import Hook
from models.engine import Base, db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from models.requests import RequestType
from models.sites import Site
from services import access, approval_rules, audit, plans, promotion_rows, recovery, switching
from services.access import AnySite, SiteKey
from services.actors import Actor
from services.paging import Page, PageRequest, matching, paginate
from services.plans import Plan
from services.pointer_state import Seen, locked_environment
from services.promotion_facts import AnyEnvironment, AnyRelease, ReleaseFacts
from services.promotion_rows import Move, Moved
from services.promotion_rules import PromotionOrder, check, require_no_hold
from services.switching import Stopwatch
from services.transaction import repeatable, single_statements, transaction

WRITE = ("sites:read", "promotions:write")
Guard = Callable[[], object]
_environments = Base.metadata.tables[Environment.__tablename__]
_PLACE = select(_environments.c.id, approval_rules.ANY.exists()).where(
    _environments.c.site_id == bindparam("site"), _environments.c.name == bindparam("name")
)
SORTABLE = {"number": Promotion.number, "created_at": Promotion.created_at}


def _nobody_to_ask(**_circumstances: object) -> Promotion:
    raise ConflictError(
        "Promotions into this environment need an approval.", code=ErrorCode.APPROVAL_REQUIRED
    )


approval: Hook[..., Promotion] = Hook(_nobody_to_ask)
"""Called instead of promoting where a policy asks for approval: files or carries out a request."""


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
    """Do what `move` does and return the promotion as a row of the session."""
    return loaded(move(actor=actor, slug=slug, order=order, guard=guard))


def loaded(made: Promotion | Moved) -> Promotion:
    """Return the row of a promotion that was made just now."""
    return promotion_rows.as_loaded(made) if isinstance(made, Moved) else made


def move(
    *, actor: Actor, slug: str, order: PromotionOrder, guard: Guard | None = None
) -> Promotion | Moved:
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
    place = _find(actor, slug, order)
    if place.may_ask:
        site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
        environment = plans.environment_named(site=site, name=order.to, pointer="/to")
        if approval_rules.is_protected(environment=environment):
            require_no_hold(actor=actor, environment=environment)
            if guard is not None:
                with transaction():
                    guard()
            return approval(actor=actor, site=site, environment=environment, order=order)
    with switching.environment_turn(slug=slug, environment=order.to):
        begun, seen = recovery.settled(
            slug=slug,
            environment=order.to,
            begin=partial(_begin, actor, place, order, guard),
        )
        watch.lap("check")
        return finish(actor=actor, site=place.site, begun=begun, watch=watch, seen=seen)


def finish(
    *,
    actor: Actor,
    site: AnySite,
    begun: Move | Promotion,
    watch: Stopwatch,
    seen: Seen,
    hold: str | None = None,
) -> Promotion | Moved:
    """Carry out a move that has begun; what is no move is done already."""
    if isinstance(begun, Promotion):
        return begun
    outcome = switching.carry_out(
        actor=actor, site=site, move=begun, watch=watch, hold=hold, seen=seen
    )
    if outcome is None:
        return db.session.get_one(Promotion, begun.id)
    return Moved(begun, outcome)


def dry_run(*, actor: Actor, slug: str, order: PromotionOrder) -> DryRun:
    """Run every check of a promotion and tell what it would do, without doing it.

    Raises:
        InvalidInputError: environment or release do not exist.
        ConflictError: there is nothing to compare.
    """
    place = _find(actor, slug, order)
    site, environment = place.site, db.session.get_one(Environment, place.environment_id)
    candidate, _ = _candidate(site, environment, order)
    refusal: DomainError | None = None
    unchanged = environment.release_id == candidate.id
    try:
        check(
            actor=actor,
            slug=slug,
            environment=environment,
            candidate=candidate,
            order=order,
        )
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
    site: AnySite,
    environment: AnyEnvironment,
    release: AnyRelease,
    kind: PromotionKind,
    comment: str | None = None,
    from_environment: str | None = None,
) -> Promotion:
    """Record a promotion of what is live already; call inside a transaction.

    A promotion on purpose lifts the hold of a rollback, also when it moves nothing.
    """
    move = switching.begin(
        actor=actor,
        site=site,
        environment=environment,
        release=release,
        kind=kind,
        comment=comment,
        from_environment=from_environment,
    )
    promotion = promotion_rows.as_loaded(move)
    promotion.state, promotion.result = PromotionState.SUCCEEDED, PromotionResult.UNCHANGED
    promotion.slot, promotion.phase = None, None
    promotion.generation = environment.generation
    if kind is PromotionKind.PROMOTE:
        promotion_rows.lift_hold(db.session.connection(), environment.id)
    promotion.finished_at = utc_now()
    audit.record(
        actor=actor,
        action="promotion.unchanged",
        target=switching.promotion_target(site=site, number=move.number),
        after={"release": release.number, "environment": environment.name},
    )
    return promotion


class _Place(NamedTuple):
    """Where a promotion goes; `may_ask` tells that some policy of the site asks for approvals."""

    site: SiteKey
    environment_id: int
    may_ask: bool


def _find(actor: Actor, slug: str, order: PromotionOrder) -> _Place:
    site = access.find_key(actor=actor, slug=slug, scopes=WRITE)
    asked = {"site": site.id, "name": order.to, "kind": RequestType.PROMOTION}
    with single_statements() as connection:
        found = connection.execute(_PLACE, asked).one_or_none()
    if found is None:
        raise plans.unknown_environment("/to")
    access.require_environment(actor=actor, environment=order.to, scope="promotions:write")
    return _Place(site, *found)


@repeatable()
def _begin(
    actor: Actor,
    place: _Place,
    order: PromotionOrder,
    guard: Guard | None,
    seen: Seen | None,
) -> Move | Promotion:
    site = place.site
    try:
        with transaction():
            if guard is not None:
                guard()
            environment = locked_environment(place.environment_id, seen)
            candidate, source = _candidate(site, environment, order, lock=True)
            check(
                actor=actor,
                slug=site.slug,
                environment=environment,
                candidate=candidate,
                order=order,
            )
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
            return switching.begin(
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
    site: AnySite, environment: AnyEnvironment, order: PromotionOrder, *, lock: bool = False
) -> tuple[ReleaseFacts, str | None]:
    return plans.source_release(
        site=site,
        to=environment,
        from_environment=order.from_environment,
        release=order.release,
        lock=lock,
    )
