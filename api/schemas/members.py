"""Members of sites on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment
from api.schemas.users import role_field


class MemberIn(Schema):
    """The role to give."""

    role = role_field(required=True, metadata={"example": "deployer"})


class MemberOut(Schema):
    """One user's role on one site."""

    username = fields.String(required=True)
    role = fields.String(required=True)
    since = Moment(required=True)


class MembersQuery(PageQuery):
    """Which members to list."""

    sort = SortField("username", "created_at", "role")
    q = SearchField("user name")
    role = fields.String(validate=validate.Length(1, 64))
