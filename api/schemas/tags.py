"""Tags on the wire."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment, text_field

NAME = r"^[a-z0-9][a-z0-9_.-]{0,38}(/[a-z0-9_.-]{1,20})?$"
COLOUR = validate.Regexp(r"^#[0-9a-f]{6}$", error="Must be a colour such as #d73a4a.")


def tag_name_field(**options: Any) -> fields.String:
    """Return a field for the name of a tag."""
    return fields.String(
        validate=validate.Regexp(NAME, error="Must be a tag, such as `urgent` or `size/small`."),
        metadata={"example": "size/small"},
        **options,
    )


class TagIn(Schema):
    """A tag to make."""

    name = tag_name_field(required=True)
    colour = fields.String(validate=COLOUR, load_default="#6e7781")
    description = text_field(500, load_default="")


class TagPatch(Schema):
    """What to change of a tag."""

    colour = fields.String(validate=COLOUR)
    description = text_field(500)


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
