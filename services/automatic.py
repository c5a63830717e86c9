"""Environments that uploads reach by themselves, and the approvals they must not get around.

A policy that names no environment leaves out automatic ones. So making an environment automatic is
a change of that policy, and takes the right to change it. `test` is automatic from birth: that is
no change.
"""

from collections.abc import Mapping

from sqlalchemy import or_, select

from core.errors import ForbiddenError, InvalidInputError
from models.approval_policies import ApprovalPolicy
from models.engine import db
from models.environments import Environment
from models.requests import RequestType
from models.sites import Site
from services import approval_policies, approval_rules
from services.actors import Actor

AUTO = "auto"


def require_leave(*, actor: Actor, site: Site) -> None:
    """Refuse to take an environment out of policies that the actor may not change.

    Raises:
        ForbiddenError: for a policy of the installation `admin` is missing; for one of the site the
            token is limited to environments.
    """
    asking = select(ApprovalPolicy).where(
        ApprovalPolicy.type == RequestType.PROMOTION,
        ApprovalPolicy.environment.is_(None),
        ApprovalPolicy.required_approvals > 0,
        or_(ApprovalPolicy.site_id.is_(None), ApprovalPolicy.site_id == site.id),
    )
    for policy in db.session.scalars(asking):
        try:
            approval_policies.require_place(actor=actor, site=policy.site, environment=None)
        except ForbiddenError as refusal:
            refusal.detail = (
                "An approval policy asks for approvals of promotions, and an automatic environment "
                "would leave it: that takes the right to change the policy."
            )
            refusal.members["policy"] = policy.public_id
            raise


def check(
    *,
    actor: Actor,
    site: Site,
    environment: Environment,
    wanted: Mapping[str, object],
    was_automatic: bool,
) -> None:
    """Look at the policy of an environment after a change; call inside its transaction.

    Raises:
        ForbiddenError: the environment leaves a policy that the actor may not change.
        InvalidInputError: it would be automatic and ask for approvals.
    """
    if not environment.policy.get(AUTO):
        return
    if not was_automatic:
        require_leave(actor=actor, site=site)
    asks = bool(wanted.get(approval_rules.APPROVALS))
    if (asks or wanted.get(AUTO)) and approval_rules.is_protected(environment=environment):
        raise InvalidInputError.field(
            f"/policy/{approval_rules.APPROVALS if asks else AUTO}",
            "Uploads reach an automatic environment by themselves; it cannot ask for approvals.",
            code="automatic",
        )
