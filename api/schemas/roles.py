"""Roles and permissions on the wire."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import line_field
from api.schemas.users import role_field
from services.permissions import RoleKind

MOST_NAMES = 100
KIND = validate.OneOf([kind.value for kind in RoleKind])


def names_field(**options: Any) -> fields.List[Any]:
    """Return a field for names of permissions or roles."""
    return fields.List(
        fields.String(validate=validate.Length(1, 64)),
        validate=validate.Length(max=MOST_NAMES),
        **options,
    )


class RoleIn(Schema):
    """A role to make."""

    name = role_field(required=True, metadata={"example": "press"})
    kind = fields.Enum(RoleKind, by_value=True, required=True)
    description = line_field(500, load_default="")
    permissions = names_field(load_default=list, metadata={"example": ["sites:read"]})
    inherits = names_field(load_default=list, metadata={"example": ["reader"]})
    requires_totp = fields.Boolean(load_default=False)


class RolePatch(Schema):
    """What to change of a role."""

    description = line_field(500)
    permissions = names_field()
    inherits = names_field()
    requires_totp = fields.Boolean()


class RoleOut(Schema):
    """A named set of permissions."""

    name = fields.String(required=True)
    kind = fields.String(required=True, validate=KIND)
    description = fields.String(required=True)
    permissions = fields.List(fields.String(), required=True, metadata={"description": "Its own."})
    inherits = fields.List(fields.String(), required=True)
    effective = fields.List(
        fields.String(), required=True, metadata={"description": "With what it inherits."}
    )
    requires_totp = fields.Boolean(required=True)
    shipped = fields.Boolean(required=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # Any: marshmallow's signature
        if attr == "inherits":
            return [parent.name for parent in obj.inherits]
        return super().get_attribute(obj, attr, default)


class RolesQuery(PageQuery):
    """Which roles to list."""

    sort = SortField("name", "created_at", "updated_at", default="name")
    q = SearchField("name and description")
    kind = fields.Enum(RoleKind, by_value=True)


class PermissionOut(Schema):
    """One thing that roles and tokens can allow."""

    name = fields.String(required=True)
    description = fields.String(required=True)
    kinds = fields.List(
        fields.String(validate=KIND),
        required=True,
        metadata={"description": "Kinds of roles that can carry it."},
    )
