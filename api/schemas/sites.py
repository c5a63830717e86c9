"""Sites on the wire."""

from marshmallow import Schema, fields, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import Moment, line_field, slug_field, text_field
from services.retention import DEFAULT_KEEP, DEFAULT_OLDER_THAN_DAYS


class SiteIn(Schema):
    """A site to make."""

    slug = slug_field(required=True)
    name = line_field(120, shortest=1, required=True)
    description = text_field(2_000, load_default="")


class SitePatch(Schema):
    """What to change of a site."""

    name = line_field(120, shortest=1)
    description = text_field(2_000)


class SiteOut(Schema):
    """Something published under a slug."""

    slug = slug_field(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    url = fields.Url(required=True, require_tld=False, metadata={"description": "Of main."})
    created_by = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)


class SitesQuery(PageQuery):
    """Which sites to list."""

    sort = SortField("slug", "name", "created_at", "updated_at")
    q = SearchField("slug, name and description")


class DeleteSiteQuery(Schema):
    """The confirmation of a deletion."""

    confirm = fields.String(
        required=True, metadata={"description": "The slug once more.", "example": "web"}
    )


class PruneIn(Schema):
    """Which releases to keep."""

    keep = fields.Integer(
        strict=True, load_default=DEFAULT_KEEP, validate=validate.Range(1, 10_000)
    )
    older_than_days = fields.Integer(
        strict=True, load_default=DEFAULT_OLDER_THAN_DAYS, validate=validate.Range(0, 36_500)
    )
    dry_run = fields.Boolean(load_default=False)


class PruneJobOut(Schema):
    """The job that prunes."""

    job = fields.String(required=True)


class PrunedOut(Schema):
    """Numbers of the releases that went and stayed."""

    deleted = fields.List(fields.Integer(), required=True)
    kept = fields.List(fields.Integer(), required=True)
    freed_bytes = fields.Integer(required=True)
