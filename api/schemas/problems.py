"""How problems look on the wire; documents only, `api.problems` writes them."""

from marshmallow import INCLUDE, Schema, fields


class FieldErrorOut(Schema):
    """One complaint about one input."""

    pointer = fields.String(
        required=True,
        metadata={
            "description": "JSON pointer into the body, or `?name` for a query parameter.",
            "example": "/name",
        },
    )
    code = fields.String(required=True, metadata={"example": "required"})
    message = fields.String(required=True)


class ProblemOut(Schema):
    """A problem document (RFC 9457); some codes add members of their own."""

    class Meta:
        """Further members are named on the page of each code."""

        unknown = INCLUDE

    type = fields.Url(required=True, metadata={"description": "A page that explains the code."})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(
        required=True, metadata={"description": "Stable; more may come.", "example": "not_found"}
    )
    request_id = fields.String(required=True)
    errors = fields.List(
        fields.Nested(FieldErrorOut), metadata={"description": "Only with status 422."}
    )


class PageMetaOut(Schema):
    """What a numbered page tells about the list."""

    page = fields.Integer(required=True)
    per_page = fields.Integer(required=True)
    total = fields.Integer(required=True)
    next = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Number of the next page."}
    )


class CursorMetaOut(Schema):
    """Where a history goes on."""

    next_cursor = fields.String(required=True, allow_none=True)
