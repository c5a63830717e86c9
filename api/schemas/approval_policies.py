"""Approval policies on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SortField
from api.schemas.common import Moment, environment_field, slug_field
from api.schemas.requests import TYPES
from api.schemas.users import role_field
from models.approval_policies import DriftRule
from models.requests import RequestType
from services.approval_policies import MOST_APPROVALS, MOST_VALID_HOURS
from services.approval_rules import DEFAULT_VALID_HOURS

REQUIRED = validate.Range(0, MOST_APPROVALS)
VALID = validate.Range(1, MOST_VALID_HOURS)


class ApprovalPolicyIn(Schema):
    """How many people must agree; without site and environment it counts everywhere."""

    type = fields.Enum(RequestType, by_value=True, required=True)
    site = slug_field(load_default=None)
    environment = environment_field(load_default=None)
    required_approvals = fields.Integer(strict=True, required=True, validate=REQUIRED)
    approver_role = role_field(load_default=None)
    valid_hours = fields.Integer(strict=True, load_default=DEFAULT_VALID_HOURS, validate=VALID)
    drift = fields.Enum(DriftRule, by_value=True, load_default=DriftRule.STRICT)


class ApprovalPolicyPatch(Schema):
    """What to change of a policy."""

    required_approvals = fields.Integer(strict=True, validate=REQUIRED)
    approver_role = role_field(allow_none=True)
    valid_hours = fields.Integer(strict=True, validate=VALID)
    drift = fields.Enum(DriftRule, by_value=True)


class ApprovalPolicyOut(Schema):
    """A rule for one type of request at one place."""

    id = fields.String(required=True)
    type = fields.String(required=True, validate=TYPES)
    site = fields.String(required=True, allow_none=True)
    environment = fields.String(required=True, allow_none=True)
    required_approvals = fields.Integer(required=True)
    approver_role = fields.String(required=True, allow_none=True)
    valid_hours = fields.Integer(required=True)
    drift = fields.String(
        required=True, validate=validate.OneOf([rule.value for rule in DriftRule])
    )
    created_at = Moment(required=True)
    updated_at = Moment(required=True)


class ApprovalPoliciesQuery(PageQuery):
    """Which policies to list."""

    sort = SortField("created_at", "updated_at", default="-created_at")
    type = fields.Enum(RequestType, by_value=True)
    site = slug_field()
