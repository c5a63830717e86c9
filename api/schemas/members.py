"""Members of sites on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment
from api.schemas.users import role_field


class MemberIn(Schema):
    """The role to give."""

    role = role_field(required=True, metadata={"example": "deployer"})


class MemberOut(Schema):
    """One user's role on one site: by membership, or for a time by an access request."""

    username = fields.String(required=True)
    role = fields.String(required=True)
    since = Moment(required=True)
    until = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "When it ends by itself; null for a membership."},
    )
    request = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The request that gave it; null for a membership."},
    )


class MembersQuery(PageQuery):
    """Which members to list."""

    sort = SortField("username", "created_at", "role")
    q = SearchField("user name")
    role = fields.String(validate=validate.Length(1, 64))
