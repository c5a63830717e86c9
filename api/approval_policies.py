"""`/approval-policies`: how many people must agree to what, where."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.approval_policies import (
    ApprovalPoliciesQuery,
    ApprovalPolicyIn,
    ApprovalPolicyOut,
    ApprovalPolicyPatch,
)
from core.errors import ErrorCode
from services import approval_policies
from services.actors import Actor
from services.approval_policies import PolicyChange, PolicyOrder, PolicyView
from services.paging import Page, PageRequest

READ, WRITE = ("requests:read",), ("environments:write",)


def current_policy(*, actor: Actor, id: str) -> PolicyView:
    """Return a policy in its present form."""
    return approval_policies.get_policy(actor=actor, policy_id=id)


def writable(*, actor: Actor, id: str) -> None:
    """Refuse who may not change a policy, before the body is read."""
    approval_policies.require_writable(actor=actor, policy_id=id)


class ApprovalPolicyList(Resource):
    """All policies the caller may see."""

    @endpoint(
        summary="List approval policies",
        query=ApprovalPoliciesQuery,
        response=ApprovalPolicyOut,
        paging=Paging.PAGE,
        scopes=READ,
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[PolicyView]:
        """Return the policies of visible sites and those for all."""
        return approval_policies.list_policies(actor=actor, page=page, **query)

    @endpoint(
        summary="Create an approval policy",
        description="Without a site it counts everywhere and takes an administrator. Where "
        "several fit, the largest number of approvals is asked for.",
        body=ApprovalPolicyIn,
        response=ApprovalPolicyOut,
        status=201,
        scopes=WRITE,
        errors=(ErrorCode.ALREADY_EXISTS, ErrorCode.NOT_FOUND),
        example={"type": "access", "required_approvals": 1},
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a policy."""
        view = approval_policies.create_policy(actor=actor, order=PolicyOrder(**body))
        return Answer(value=view, location=f"/approval-policies/{view.id}")


class ApprovalPolicyItem(Resource):
    """One policy."""

    @endpoint(
        summary="Show an approval policy",
        response=ApprovalPolicyOut,
        scopes=READ,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, id: str) -> PolicyView:
        """Return the policy."""
        return current_policy(actor=actor, id=id)

    @endpoint(
        summary="Change an approval policy",
        description="Requests that wait are judged by what holds when somebody votes.",
        body=ApprovalPolicyPatch,
        response=ApprovalPolicyOut,
        scopes=WRITE,
        guard=writable,
        current=current_policy,
        errors=(ErrorCode.NOT_FOUND,),
        example={"required_approvals": 2},
    )
    def patch(
        self, actor: Actor, id: str, body: dict[str, Any], expected_version: int | None
    ) -> PolicyView:
        """Change the policy."""
        return approval_policies.update_policy(
            actor=actor,
            policy_id=id,
            change=PolicyChange(**body),
            expected_version=expected_version,
        )

    @endpoint(
        summary="Delete an approval policy",
        status=204,
        scopes=WRITE,
        guard=writable,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def delete(self, actor: Actor, id: str) -> Any:
        """Remove the policy."""
        approval_policies.delete_policy(actor=actor, policy_id=id)
        return no_content()


def namespace() -> Namespace:
    """Return the routes of `/approval-policies`."""
    routes = Namespace(
        "approval-policies", description="Who must agree to what", path="/approval-policies"
    )
    routes.add_resource(ApprovalPolicyList, "")
    routes.add_resource(ApprovalPolicyItem, "/<id>")
    return routes
