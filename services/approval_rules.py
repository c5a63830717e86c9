"""What approval policies add up to at one place.

All policies that fit a place count: the largest number of approvals is asked for, so that a site
can ask for more than the installation does and never for less. The rest is said by the most
specific one. A policy that names no environment leaves out those that publish uploads by
themselves, such as `test`.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, bindparam, delete, or_, select

from models.approval_policies import ApprovalPolicy, DriftRule
from models.engine import Base, db
from models.environments import Environment
from models.requests import RequestType

DEFAULT_VALID_HOURS = 168
APPROVALS = "required_approvals"

# Every promotion passes here, so this is built once, of plain tables.
_policies = Base.metadata.tables[ApprovalPolicy.__tablename__]
ANY = (
    select(_policies.c.id)
    .where(_policies.c.type == bindparam("kind"), _policies.c.required_approvals > 0)
    .where(or_(_policies.c.site_id.is_(None), _policies.c.site_id == bindparam("site")))
    .limit(1)
)
"""Whether any policy asks for approvals of a `kind` on a `site`; to be read as it is, or in an
EXISTS of another statement."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What holds at one place, all policies taken together."""

    required_approvals: int = 0
    approver_role_id: int | None = None
    approver_role: str | None = None
    valid_hours: int = DEFAULT_VALID_HOURS
    drift: DriftRule = DriftRule.STRICT

    @property
    def facts(self) -> dict[str, object]:
        """What a reviewer should know of it, as JSON values."""
        return {
            "required_approvals": self.required_approvals,
            "approver_role": self.approver_role,
            "valid_hours": self.valid_hours,
            "drift": self.drift.value,
        }


def rule_for(
    *, kind: RequestType, site_id: int | None = None, environment: Environment | None = None
) -> Rule:
    """Return the rule for a type of request, on a site, in an environment of it."""
    places: list[ColumnElement[bool]] = []
    if environment is None or not environment.policy.get("auto"):
        places.append(ApprovalPolicy.environment.is_(None))
    if environment is not None:
        places.append(ApprovalPolicy.environment == environment.name)
    policies = db.session.scalars(
        select(ApprovalPolicy)
        .where(ApprovalPolicy.type == kind, or_(*places))
        .where(or_(ApprovalPolicy.site_id.is_(None), ApprovalPolicy.site_id == site_id))
    ).all()
    if not policies:
        return Rule()
    first = max(policies, key=_specificity)
    return Rule(
        required_approvals=max(policy.required_approvals for policy in policies),
        approver_role_id=first.approver_role_id,
        approver_role=first.approver_role.name if first.approver_role else None,
        valid_hours=first.valid_hours,
        drift=first.drift,
    )


def could_ask(*, kind: RequestType, site_id: int) -> bool:
    """Tell with one prepared statement whether any policy asks for approvals on a site."""
    asked = {"kind": kind, "site": site_id}
    return bool(db.session.connection().execute(ANY, asked).scalar_one_or_none())


def is_protected(*, environment: Environment) -> bool:
    """Tell whether promotions into an environment need somebody's approval."""
    kind, site_id = RequestType.PROMOTION, environment.site_id
    if not could_ask(kind=kind, site_id=site_id):
        return False
    rule = rule_for(kind=kind, site_id=site_id, environment=environment)
    return rule.required_approvals > 0


def policy_of(*, environment: Environment) -> dict[str, object]:
    """Return the rules of an environment; how many approvals it takes is an approval policy."""
    rule = rule_for(
        kind=RequestType.PROMOTION, site_id=environment.site_id, environment=environment
    )
    return {**environment.policy, APPROVALS: rule.required_approvals}


def forget_environment(*, site_id: int, environment: str) -> None:
    """Remove the policies of an environment that is deleted; call inside a transaction."""
    db.session.execute(
        delete(ApprovalPolicy).where(
            ApprovalPolicy.site_id == site_id, ApprovalPolicy.environment == environment
        )
    )


def place_key(kind: RequestType, site_id: int | None, environment: str | None) -> str:
    """Return what names the place of a policy; unique."""
    return f"{kind.value}/{site_id or '*'}/{environment or '*'}"


def _specificity(policy: ApprovalPolicy) -> tuple[bool, bool]:
    return policy.site_id is not None, policy.environment is not None
