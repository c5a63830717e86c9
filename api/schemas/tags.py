"""Tags on the wire."""

from typing import Any

from marshmallow import Schema, fields

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment, WholeText, line_field

NAME = r"^[a-z0-9][a-z0-9_.-]{0,38}(/(?!\.+$)[a-z0-9_.-]{1,20})?$"
"""After the slash not dots alone: `.` and `..` cannot be written in an address."""
COLOUR = WholeText(r"^#[0-9a-f]{6}$", error="Must be a colour such as #d73a4a.")


def tag_name_field(**options: Any) -> fields.String:
    """Return a field for the name of a tag."""
    return fields.String(
        validate=WholeText(NAME, error="Must be a tag, such as `urgent` or `size/small`."),
        metadata={"example": "size/small"},
        **options,
    )


class TagIn(Schema):
    """A tag to make."""

    name = tag_name_field(required=True)
    colour = fields.String(validate=COLOUR, load_default="#6e7781")
    description = line_field(500, load_default="")


class TagPatch(Schema):
    """What to change of a tag."""

    name = tag_name_field()
    colour = fields.String(validate=COLOUR)
    description = line_field(500)


class TagOut(Schema):
    """A word that requests are sorted by."""

    name = fields.String(required=True)
    colour = fields.String(required=True)
    description = fields.String(required=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)


class TagsQuery(PageQuery):
    """Which tags to list."""

    sort = SortField("name", "created_at", "updated_at", default="name")
    q = SearchField("name and description")
