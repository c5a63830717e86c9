"""Environments: the places a site is served from, their rules, domains, locks and holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from core.clock import isoformat, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from core.extensions import site_store
from core.hooks import Hook
from models.engine import db
from models.environments import Domain, Environment
from models.promotions import Promotion
from models.sites import Site
from services import (
    access,
    approval_policies,
    approval_rules,
    audit,
    automatic,
    environment_marks,
    hosts,
    switching,
)
from services.actors import Actor, Via
from services.environment_marks import Mark
from services.names import is_environment
from services.paging import Page, PageRequest, paginate
from services.promotion_facts import AnyEnvironment
from services.sites import STANDARD_ENVIRONMENTS, forget_environment
from services.transaction import changed_rows, transaction

WRITE = ("sites:read", "environments:write")
MAX_DOMAINS = 50
TURN_SECONDS = 5.0
DETAILS = (
    joinedload(Environment.release),
    joinedload(Environment.previous_release),
    joinedload(Environment.promoted_by),
    selectinload(Environment.domains),
)
"""What a list of environments shows of other tables, read with it."""
SORTABLE = {
    "rank": Environment.rank,
    "name": Environment.name,
    "created_at": Environment.created_at,
    "updated_at": Environment.updated_at,
}


def _nobody(**_circumstances: object) -> None:
    """Nobody wants to know."""


removing: Hook[..., None] = Hook(_nobody)
"""Called with actor, site and the name in the unit of work that deletes an environment."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentChange:
    """The fields to change; None leaves one as it is. `policy` is merged key by key."""

    rank: int | None = None
    domains: Sequence[str] | None = None
    policy: Mapping[str, object] | None = None


def list_environments(*, actor: Actor, slug: str) -> list[Environment]:
    """Return the environments of a site in rank order."""
    site = access.find_site(actor=actor, slug=slug)
    return list(
        db.session.scalars(
            select(Environment)
            .where(Environment.site_id == site.id)
            .order_by(Environment.rank, Environment.id)
            .options(*DETAILS)
        )
    )


def page_of_environments(*, actor: Actor, slug: str, page: PageRequest) -> Page[Environment]:
    """Return one page of the environments of a site."""
    site = access.find_site(actor=actor, slug=slug)
    query = select(Environment).where(Environment.site_id == site.id).options(*DETAILS)
    return paginate(query, page, sortable=SORTABLE, default="rank", tiebreak=Environment.id)


def get_environment(*, actor: Actor, slug: str, name: str) -> Environment:
    """Return one environment.

    Raises:
        NotFoundError: site or environment do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    return find_environment(site=site, name=name)


def find_environment(*, site: Site, name: str) -> Environment:
    """Return the environment `name` of a site the caller has already checked.

    Raises:
        NotFoundError: the site has no such environment.
    """
    environment = db.session.scalar(
        select(Environment).where(Environment.site_id == site.id, Environment.name == name)
    )
    if environment is None:
        raise NotFoundError("The site has no such environment.")
    return environment


def create_environment(
    *,
    actor: Actor,
    slug: str,
    name: str,
    rank: int,
    domains: Sequence[str] = (),
    policy: Mapping[str, object] | None = None,
) -> Environment:
    """Add a place to serve the site from.

    Raises:
        ForbiddenError: it is to be automatic, and a policy that the actor may not change asks for
            approvals.
        InvalidInputError: the name is reserved, or a domain cannot be used.
        ConflictError: the name or a domain is taken.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    if not is_environment(name):
        raise InvalidInputError.field("/name", "This name is reserved.", code="reserved")
    access.require_environment(actor=actor, environment=name, scope="environments:write")
    domains = list(dict.fromkeys(domains))
    hosts.check_domains(domains)
    now = utc_now()
    environment = Environment(
        site_id=site.id,
        name=name,
        rank=rank,
        policy={"auto": False, **(policy or {})},
        domains=[Domain(host=host) for host in domains],
        created_at=now,
        updated_at=now,
    )
    required = environment.policy.pop(approval_rules.APPROVALS, 0)
    with switching.environment_turn(slug=slug, environment=name, wait_seconds=TURN_SECONDS):
        forget_environment(site=site, name=name)
        try:
            with transaction() as session:
                session.add(environment)
                session.flush()  # its approval policy is another row
                _require_approvals(environment, required)
                automatic.check(
                    actor=actor,
                    site=site,
                    environment=environment,
                    wanted=policy or {},
                    was_automatic=False,
                )
                audit.record(
                    actor=actor,
                    action="environment.created",
                    target=_target(site, name),
                    after={
                        "rank": rank,
                        "domains": list(domains),
                        "policy": approval_rules.policy_of(environment=environment),
                    },
                )
        except IntegrityError as error:
            raise ConflictError("The name or one of the domains is taken already.") from error
    hosts.point_environment(slug=slug, environment=name, domains=list(domains))
    return environment


def update_environment(
    *,
    actor: Actor,
    slug: str,
    name: str,
    change: EnvironmentChange,
    expected_version: int | None = None,
) -> Environment:
    """Change rank, domains or policy.

    Raises:
        PreconditionError: `expected_version` is not the present one.
        ConflictError: a domain is taken.
        ForbiddenError: it becomes automatic, and a policy that the actor may not change asks for
            approvals.
        InvalidInputError: it would be automatic and ask for approvals.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    environment = find_environment(site=site, name=name)
    access.require_environment(actor=actor, environment=name, scope="environments:write")
    if change.domains is not None:
        hosts.check_domains(change.domains)
    try:
        with transaction() as session:
            _touch(environment, expected_version)
            session.refresh(environment)
            before = _rules(environment)
            held = [domain.host for domain in environment.domains]
            was_automatic = bool(environment.policy.get(automatic.AUTO))
            _apply(environment, change)
            automatic.check(
                actor=actor,
                site=site,
                environment=environment,
                wanted=change.policy or {},
                was_automatic=was_automatic,
            )
            audit.record(
                actor=actor,
                action="environment.updated",
                target=_target(site, name),
                before=before,
                after=_rules(environment),
            )
    except IntegrityError as error:
        raise ConflictError("One of the domains is taken already.") from error
    if change.domains is not None:
        hosts.refresh_domains(names={*change.domains, *held})
    return environment


def delete_environment(*, actor: Actor, slug: str, name: str) -> None:
    """Remove an environment; its promotions stay in the history.

    Raises:
        ConflictError: it is `test` or `main`, or a promotion into it is running.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    environment = find_environment(site=site, name=name)
    access.require_environment(actor=actor, environment=name, scope="environments:write")
    if name in [standard for standard, _, _ in STANDARD_ENVIRONMENTS]:
        raise ConflictError(
            "Every site has this environment; it cannot be deleted.",
            code=ErrorCode.ENVIRONMENT_IN_USE,
        )
    with switching.environment_turn(slug=slug, environment=name, wait_seconds=TURN_SECONDS):
        with transaction() as session:
            found = find_environment(site=site, name=name)
            environment = switching.locked_environment(environment_id=found.id)
            running = select(Promotion.id).where(
                Promotion.environment_id == environment.id, Promotion.slot == 1
            )
            if session.scalar(running) is not None:
                raise ConflictError(
                    "A promotion into this environment is running.",
                    code=ErrorCode.PROMOTION_IN_PROGRESS,
                )
            removing(actor=actor, site=site, environment=name)
            approval_rules.forget_environment(site_id=site.id, environment=name)
            session.execute(delete(Environment).where(Environment.id == environment.id))
            audit.record(actor=actor, action="environment.deleted", target=_target(site, name))
        hosts.sync()
        site_store().remove_environment(slug, name)


def lock(
    *, actor: Actor, slug: str, name: str, reason: str, expires_at: datetime | None = None
) -> Environment:
    """Stop promotions into an environment; uploads and rollbacks go on.

    Raises:
        InvalidInputError: `expires_at` lies in the past.
    """
    now = utc_now()
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError.field("/expires_at", "This moment has passed.", code="past")
    values = {
        "locked_at": now,
        "locked_by": actor.username or actor.via.value,
        "lock_reason": reason,
        "lock_expires_at": expires_at,
    }
    after = {"reason": reason, "expires_at": isoformat(expires_at) if expires_at else None}
    return _mark(actor, slug, name, "environment.locked", values, after)


def unlock(*, actor: Actor, slug: str, name: str) -> Environment:
    """Let promotions in again; does nothing when there is no lock."""
    values = {"locked_at": None, "locked_by": None, "lock_reason": None, "lock_expires_at": None}
    return _mark(
        actor, slug, name, "environment.unlocked", values, None, only_if=Environment.locked_at
    )


def lift_hold(*, actor: Actor, slug: str, name: str) -> Environment:
    """Let tokens and automatic publishing in again after a rollback.

    Raises:
        ForbiddenError: a token asked; lifting a hold is a person's decision.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "promotions:write"))
    find_environment(site=site, name=name)
    if actor.via is Via.TOKEN:
        raise ForbiddenError(
            "A hold is lifted by a person who is signed in, not by a token.",
            code=ErrorCode.SESSION_REQUIRED,
        )
    values = {"held_at": None, "held_by": None, "hold_reason": None}
    return _mark(
        actor,
        slug,
        name,
        "environment.hold_lifted",
        values,
        None,
        scopes=("promotions:write",),
        only_if=Environment.held_at,
    )


def is_locked(*, environment: AnyEnvironment) -> bool:
    """Tell whether a lock is set and has not run out."""
    if environment.locked_at is None:
        return False
    return environment.lock_expires_at is None or environment.lock_expires_at > utc_now()


def _mark(
    actor: Actor,
    slug: str,
    name: str,
    action: str,
    values: Mapping[str, object],
    after: Mapping[str, object] | None,
    *,
    scopes: tuple[str, ...] = WRITE,
    only_if: Mark | None = None,
) -> Environment:
    """Write `values`; nothing at all when the column `only_if` is empty."""
    site = access.find_site(actor=actor, slug=slug, scopes=scopes)
    environment = find_environment(site=site, name=name)
    access.require_environment(actor=actor, environment=name, scope=scopes[-1])
    return environment_marks.write(
        environment=environment,
        values=values,
        only_if=only_if,
        event=partial(
            audit.record, actor=actor, action=action, target=_target(site, name), after=after
        ),
    )


def _touch(environment: Environment, expected_version: int | None) -> None:
    statement = update(Environment).where(Environment.id == environment.id)
    if expected_version is not None:
        statement = statement.where(Environment.version == expected_version)
    changed = changed_rows(statement.values(version=Environment.version + 1, updated_at=utc_now()))
    if changed == 0:
        raise PreconditionError("The environment was changed by somebody else.")


def _apply(environment: Environment, change: EnvironmentChange) -> None:
    if change.rank is not None:
        environment.rank = change.rank
    if change.policy is not None:
        rules = dict(change.policy)
        _require_approvals(environment, rules.pop(approval_rules.APPROVALS, None))
        environment.policy = {**environment.policy, **rules}
    if change.domains is not None:
        kept = {domain.host: domain for domain in environment.domains}
        environment.domains = [
            kept.get(host) or Domain(host=host) for host in dict.fromkeys(change.domains)
        ]
    db.session.flush()  # so that a taken domain is found before the audit row is written


def _require_approvals(environment: Environment, required: object) -> None:
    if isinstance(required, int):
        approval_policies.set_for_environment(environment=environment, required_approvals=required)


def _rules(environment: Environment) -> dict[str, object]:
    return {
        "rank": environment.rank,
        "domains": [domain.host for domain in environment.domains],
        "policy": approval_rules.policy_of(environment=environment),
    }


def _target(site: Site, name: str) -> audit.Target:
    return audit.Target(type="environment", id=f"{site.slug}/{name}", site_id=site.id)
