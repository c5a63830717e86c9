"""Environments on the wire."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SortField
from api.schemas.common import Moment, environment_field, line_field
from services.approval_policies import MOST_APPROVALS
from services.environments import MAX_DOMAINS


class PolicyIn(Schema):
    """The rules of an environment; keys that are left out stay as they are."""

    auto = fields.Boolean(
        metadata={
            "description": "Publish uploads here by themselves. While a policy that names no "
            "environment asks for approvals, saying true takes the right to change that policy; "
            "with approvals of its own an environment cannot be automatic.",
            "example": True,
        }
    )
    required_approvals = fields.Integer(
        strict=True,
        validate=validate.Range(0, MOST_APPROVALS),
        metadata={
            "description": "How many people must agree to a promotion: the environment's own "
            "policy. Answers show what holds, which is more where a policy of the site or of the "
            "installation asks for more: 0 takes nothing away from those.",
            "example": 1,
        },
    )


class PolicyOut(Schema):
    """The rules of an environment."""

    auto = fields.Boolean(required=True)
    required_approvals = fields.Integer(
        required=True,
        metadata={"description": "What holds, all approval policies taken together."},
    )


def _domains(**options: Any) -> "fields.List[str]":
    return fields.List(
        fields.String(validate=validate.Length(1, 253), metadata={"example": "www.example.org"}),
        validate=validate.Length(max=MAX_DOMAINS),
        **options,
    )


class EnvironmentIn(Schema):
    """An environment to make."""

    name = environment_field(required=True)
    rank = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(0, 1_000_000),
        metadata={"description": "Releases move from lower to higher ranks.", "example": 15},
    )
    domains = _domains(load_default=list)
    policy = fields.Nested(PolicyIn, load_default=dict)


class EnvironmentPatch(Schema):
    """What to change of an environment."""

    rank = fields.Integer(strict=True, validate=validate.Range(0, 1_000_000))
    domains = _domains()
    policy = fields.Nested(PolicyIn)


class LockIn(Schema):
    """Why promotions are kept out, and until when."""

    reason = line_field(500, shortest=1, required=True)
    expires_at = Moment(load_default=None, allow_none=True)


class LockOut(Schema):
    """Who keeps promotions out."""

    actor = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    expires_at = Moment(required=True, allow_none=True)


class HoldOut(Schema):
    """Whose rollback keeps tokens and automatic publishing out."""

    actor = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    since = Moment(required=True)


class EnvironmentOut(Schema):
    """A place a site is served from."""

    name = fields.String(required=True)
    rank = fields.Integer(required=True)
    release = fields.Integer(required=True, allow_none=True)
    previous_release = fields.Integer(required=True, allow_none=True)
    generation = fields.Integer(required=True)
    commit = fields.String(required=True, allow_none=True)
    promoted_at = Moment(required=True, allow_none=True)
    promoted_by = fields.String(required=True, allow_none=True)
    domains = fields.List(fields.String(), required=True)
    policy = fields.Nested(PolicyOut, required=True)
    lock = fields.Nested(LockOut, required=True, allow_none=True)
    hold = fields.Nested(HoldOut, required=True, allow_none=True)
    url = fields.String(required=True)
    updated_at = Moment(required=True)


class EnvironmentsQuery(PageQuery):
    """Which environments to list."""

    sort = SortField("rank", "name", "created_at", "updated_at", default="rank")
