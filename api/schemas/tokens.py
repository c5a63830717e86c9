"""API tokens on the wire."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate, validates_schema

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment, environment_field, line_field, slug_field
from services.permissions import TokenPreset
from services.tokens import DEFAULT_OVERLAP_MINUTES, TokenState

PRESET = validate.OneOf([preset.value for preset in TokenPreset])
STATE = validate.OneOf([state.value for state in TokenState])
MOST_ENTRIES = validate.Length(1, 100)


class TokenIn(Schema):
    """A token to make: `scopes` or a `preset`, and limits."""

    name = line_field(120, shortest=1, required=True, metadata={"example": "CI of web"})
    scopes = fields.List(
        fields.String(validate=validate.Length(1, 64)),
        validate=MOST_ENTRIES,
        metadata={"example": ["sites:read", "releases:write"]},
    )
    preset = fields.Enum(TokenPreset, by_value=True)
    sites = fields.List(slug_field(), validate=MOST_ENTRIES)
    environments = fields.List(environment_field(), validate=MOST_ENTRIES)
    cidrs = fields.List(
        fields.String(validate=validate.Length(1, 50)),
        validate=MOST_ENTRIES,
        metadata={"example": ["192.0.2.0/24"]},
    )
    expires_in_days = fields.Integer(
        strict=True,
        metadata={
            "description": "From 1 to TOKEN_MAX_DAYS; 90 by default.",
            "minimum": 1,
            "example": 90,
        },
    )

    @validates_schema
    def _one_of_scopes_and_preset(self, data: dict[str, Any], **_options: object) -> None:
        if ("scopes" in data) == ("preset" in data):
            raise ValidationError("Give either scopes or a preset.", "scopes")


class RotateIn(Schema):
    """How long the old token keeps working."""

    overlap_minutes = fields.Integer(
        strict=True, load_default=DEFAULT_OVERLAP_MINUTES, validate=validate.Range(0, 24 * 60)
    )


class TokenOut(Schema):
    """A credential with a part of its owner's rights."""

    id = fields.String(required=True, attribute="public_id")
    name = fields.String(required=True)
    prefix = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    preset = fields.String(required=True, allow_none=True, validate=PRESET)
    sites = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "Null when not limited to sites."},
    )
    environments = fields.List(fields.String(), required=True, allow_none=True)
    cidrs = fields.List(fields.String(), required=True, allow_none=True)
    created_at = Moment(required=True)
    expires_at = Moment(required=True)
    last_used_at = Moment(required=True, allow_none=True)
    last_used_address = fields.String(required=True, allow_none=True)
    revoked_at = Moment(required=True, allow_none=True)
    state = fields.String(required=True, validate=STATE)
    token = fields.String(metadata={"description": "Shown once, when it is made."})

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # Any: marshmallow's signature
        if attr == "token":
            return obj.token or missing
        if attr == "state":
            return obj.state.value
        if attr == "sites":
            return [site.slug for site in obj.row.sites] if obj.row.site_limited else None
        return super().get_attribute(obj.row, attr, default)


class TokensQuery(PageQuery):
    """Which tokens to list."""

    sort = SortField("name", "created_at", "expires_at", "last_used_at")
    q = SearchField("name and prefix")
    state = fields.Enum(TokenState, by_value=True)
