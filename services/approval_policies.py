"""Approval policies: made, changed and removed; `approval_rules` says what they add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import (
    Select,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from core.ids import new_public_id
from models.approval_policies import ApprovalPolicy, DriftRule
from models.engine import db
from models.environments import Environment
from models.requests import RequestType
from models.roles import Role
from models.sites import Site
from services import access, audit
from services.actors import Actor
from services.approval_rules import DEFAULT_VALID_HOURS, place_key
from services.paging import Page, PageRequest, paginate
from services.transaction import changed_rows, repeatable, transaction

MOST_APPROVALS = 20
MOST_VALID_HOURS = 8760
WRITE = ("sites:read", "environments:write")
SORTABLE = {"created_at": ApprovalPolicy.created_at, "updated_at": ApprovalPolicy.updated_at}


class Left(Enum):
    """Tells an input that was left out from one that is null."""

    OUT = "out"


@dataclass(frozen=True, kw_only=True)
class PolicyOrder:
    """A policy to make; without site and environment it counts everywhere."""

    type: RequestType
    required_approvals: int
    site: str | None = None
    environment: str | None = None
    approver_role: str | None = None
    valid_hours: int = DEFAULT_VALID_HOURS
    drift: DriftRule = DriftRule.STRICT


@dataclass(frozen=True, kw_only=True)
class PolicyChange:
    """The fields to change; None leaves one as it is."""

    required_approvals: int | None = None
    approver_role: str | Left | None = Left.OUT
    valid_hours: int | None = None
    drift: DriftRule | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyView:
    """One policy; site and role by name."""

    id: str
    type: str
    site: str | None
    environment: str | None
    required_approvals: int
    approver_role: str | None
    valid_hours: int
    drift: str
    created_at: datetime
    updated_at: datetime
    version: int


def list_policies(
    *,
    actor: Actor,
    page: PageRequest,
    type: RequestType | None = None,
    site: str | None = None,
) -> Page[PolicyView]:
    """Return the policies the actor may see: those of visible sites and those for all."""
    query = _visible(actor)
    if type is not None:
        query = query.where(ApprovalPolicy.type == type)
    if site is not None:
        wanted = access.visible_sites(actor=actor).where(Site.slug == site)
        query = query.where(ApprovalPolicy.site_id.in_(wanted.with_only_columns(Site.id)))
    found = paginate(query, page, sortable=SORTABLE, tiebreak=ApprovalPolicy.id)
    return found.with_items([_view(policy) for policy in found.items])


def get_policy(*, actor: Actor, policy_id: str) -> PolicyView:
    """Return one policy.

    Raises:
        NotFoundError: there is none, or its site may not be seen.
    """
    return _view(_find(actor, policy_id))


def require_writable(*, actor: Actor, policy_id: str) -> ApprovalPolicy:
    """Return a policy that the actor may change.

    Raises:
        NotFoundError: there is none, or its site may not be seen.
        ForbiddenError: environments:write is missing on its site; for all sites: admin.
    """
    policy = _find(actor, policy_id)
    require_place(actor=actor, site=policy.site, environment=policy.environment)
    return policy


@repeatable()
def create_policy(*, actor: Actor, order: PolicyOrder) -> PolicyView:
    """Make a policy.

    Raises:
        NotFoundError: the site may not be seen.
        ForbiddenError: environments:write is missing on the site; for all sites: admin.
        InvalidInputError: environment or role do not exist, or do not fit; `unsupported_request`
            for databases.
        ConflictError: the place has a policy for this type already.
    """
    site = access.find_site(actor=actor, slug=order.site) if order.site is not None else None
    require_place(actor=actor, site=site, environment=order.environment)
    _check_place(order, site)
    try:
        with transaction():
            policy = _insert(order, site)
            audit.record(
                actor=actor,
                action="approval_policy.created",
                target=_target(policy),
                after=_shown(policy),
            )
    except IntegrityError as error:
        raise ConflictError("There is a policy for this type and place already.") from error
    return _view(policy)


@repeatable()
def update_policy(
    *, actor: Actor, policy_id: str, change: PolicyChange, expected_version: int | None = None
) -> PolicyView:
    """Change a policy; requests that wait are judged by the new one.

    Raises:
        PreconditionError: `expected_version` is not the present one.
        InvalidInputError: the role does not exist, or uploads reach the environment by themselves.
    """
    policy = require_writable(actor=actor, policy_id=policy_id)
    if policy.site_id is not None and policy.environment is not None:
        place = _environment(policy.site_id, policy.environment)
        _refuse_automatic(place, change.required_approvals, "/required_approvals")
    values: dict[str, object] = {
        name: value
        for name, value in vars(change).items()
        if value is not None and name != "approver_role"
    }
    if not isinstance(change.approver_role, Left):
        values["approver_role_id"] = _role_id(change.approver_role)
    with transaction() as session:
        before = _shown(policy)
        statement = update(ApprovalPolicy).where(ApprovalPolicy.id == policy.id)
        if expected_version is not None:
            statement = statement.where(ApprovalPolicy.version == expected_version)
        values |= {"version": ApprovalPolicy.version + 1, "updated_at": utc_now()}
        if changed_rows(statement.values(values)) == 0:
            raise PreconditionError("The policy was changed by somebody else.")
        session.refresh(policy)
        audit.record(
            actor=actor,
            action="approval_policy.updated",
            target=_target(policy),
            before=before,
            after=_shown(policy),
        )
    return _view(policy)


@repeatable()
def delete_policy(*, actor: Actor, policy_id: str) -> None:
    """Remove a policy.

    Raises:
        NotFoundError: there is none, or its site may not be seen.
        ForbiddenError: environments:write is missing on its site; for all sites: admin.
    """
    policy = require_writable(actor=actor, policy_id=policy_id)
    with transaction() as session:
        session.execute(delete(ApprovalPolicy).where(ApprovalPolicy.id == policy.id))
        audit.record(
            actor=actor,
            action="approval_policy.deleted",
            target=_target(policy),
            before=_shown(policy),
        )


def set_for_environment(*, environment: Environment, required_approvals: int) -> None:
    """Ask for so many approvals of promotions into an environment; call inside a transaction."""
    key = place_key(RequestType.PROMOTION, environment.site_id, environment.name)
    changed = changed_rows(
        update(ApprovalPolicy)
        .where(ApprovalPolicy.key == key)
        .values(
            required_approvals=required_approvals,
            version=ApprovalPolicy.version + 1,
            updated_at=utc_now(),
        )
    )
    if changed == 0 and required_approvals > 0:
        site = db.session.get_one(Site, environment.site_id)
        order = PolicyOrder(
            type=RequestType.PROMOTION,
            site=site.slug,
            environment=environment.name,
            required_approvals=required_approvals,
        )
        _insert(order, site)


def _find(actor: Actor, policy_id: str) -> ApprovalPolicy:
    policy = db.session.scalar(_visible(actor).where(ApprovalPolicy.public_id == policy_id))
    if policy is None:
        raise NotFoundError("There is no such approval policy.")
    return policy


def _view(policy: ApprovalPolicy) -> PolicyView:
    return PolicyView(
        id=policy.public_id,
        type=policy.type.value,
        site=policy.site.slug if policy.site else None,
        environment=policy.environment,
        required_approvals=policy.required_approvals,
        approver_role=policy.approver_role.name if policy.approver_role else None,
        valid_hours=policy.valid_hours,
        drift=policy.drift.value,
        created_at=policy.created_at,
        updated_at=policy.updated_at,
        version=policy.version,
    )


def _visible(actor: Actor) -> Select[ApprovalPolicy]:
    mine = access.visible_sites(actor=actor).with_only_columns(Site.id)
    return select(ApprovalPolicy).where(
        or_(ApprovalPolicy.site_id.is_(None), ApprovalPolicy.site_id.in_(mine))
    )


def require_place(*, actor: Actor, site: Site | None, environment: str | None) -> None:
    """Refuse unless the actor may say how many approvals are asked for at a place.

    Raises:
        ForbiddenError: environments:write is missing on the site; for all sites: admin; or a token
            is limited to other environments.
    """
    if site is None:
        actor.require("admin")
        return
    access.require_on_site(actor=actor, site=site, scopes=WRITE)
    if environment is not None:
        access.require_environment(actor=actor, environment=environment, scope=WRITE[-1])
    elif actor.token_environments is not None:
        raise ForbiddenError(
            "This token is limited to some environments, and this policy counts in all of them.",
            members={"required": [WRITE[-1]], "missing": [WRITE[-1]]},
        )


def _check_place(order: PolicyOrder, site: Site | None) -> None:
    if order.type is RequestType.DATABASE:
        raise InvalidInputError(
            "This installation cannot carry out requests for databases yet.",
            code=ErrorCode.UNSUPPORTED_REQUEST,
        )
    if order.environment is None:
        return
    if order.type is not RequestType.PROMOTION:
        raise InvalidInputError.field(
            "/environment", "Requests of this type name no environment.", code="no_environment"
        )
    if site is None:
        return
    found = _environment(site.id, order.environment)
    if found is None:
        raise InvalidInputError.field(
            "/environment", "The site has no such environment.", code="unknown_environment"
        )
    _refuse_automatic(found, order.required_approvals, "/environment")


def _environment(site_id: int | None, name: str | None) -> Environment | None:
    return db.session.scalar(
        select(Environment).where(Environment.site_id == site_id, Environment.name == name)
    )


def _refuse_automatic(
    environment: Environment | None, required_approvals: int | None, pointer: str
) -> None:
    if environment is not None and environment.policy.get("auto") and required_approvals:
        raise InvalidInputError.field(
            pointer,
            "Uploads reach this environment by themselves; it cannot ask for approvals before its "
            "policy says `auto: false`.",
            code="automatic",
        )


def _insert(order: PolicyOrder, site: Site | None) -> ApprovalPolicy:
    now, site_id = utc_now(), site.id if site else None
    policy = ApprovalPolicy(
        public_id=new_public_id(),
        key=place_key(order.type, site_id, order.environment),
        type=order.type,
        site=site,
        environment=order.environment,
        required_approvals=order.required_approvals,
        approver_role_id=_role_id(order.approver_role),
        valid_hours=order.valid_hours,
        drift=order.drift,
        created_at=now,
        updated_at=now,
    )
    db.session.add(policy)
    db.session.flush()  # so that a taken place is found before the audit row is written
    db.session.refresh(policy)
    return policy


def _role_id(name: str | None) -> int | None:
    if name is None:
        return None
    role_id = db.session.scalar(select(Role.id).where(Role.name == name))
    if role_id is None:
        raise InvalidInputError.field("/approver_role", "There is no such role.", code="unknown")
    return role_id


def _shown(policy: ApprovalPolicy) -> Mapping[str, object]:
    left_out = ("id", "created_at", "updated_at", "version")
    return {key: value for key, value in vars(_view(policy)).items() if key not in left_out}


def _target(policy: ApprovalPolicy) -> audit.Target:
    return audit.Target(type="approval_policy", id=policy.public_id, site_id=policy.site_id)
