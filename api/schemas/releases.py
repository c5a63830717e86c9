"""Releases on the wire."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from api.paging import PageQuery, SearchField, SortField
from api.schemas.common import SHA256, Moment, WholeText, check_environment, text_field
from api.schemas.promotions import PromotionOut, WaitQuery
from services.publishing import TO_NONE

COMMIT = r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$"
STRIP = ("auto", "0", "1")


class TargetField(fields.String):
    """An environment, or `none`."""

    def __init__(self) -> None:
        super().__init__(
            validate=self._check,
            metadata={
                "description": "Where to publish: an environment, or `none`. By default all "
                "environments whose policy is `auto`.",
                "example": "test",
            },
        )

    def _check(self, value: str) -> None:
        if value != TO_NONE:
            check_environment(value)


class UploadQuery(WaitQuery):
    """What the uploader says about an upload."""

    to = TargetField()
    message = text_field(500)
    commit = fields.String(
        validate=WholeText(COMMIT, error="Must be a commit or a tag, 64 characters at most."),
        metadata={"example": "4f2c1d9"},
    )
    source_url = fields.Url(
        schemes={"http", "https"},
        require_tld=False,
        validate=validate.Length(max=2_000),
        metadata={"description": "Where the upload was built.", "example": "https://ci/7"},
    )
    strip = fields.String(
        load_default="auto",
        validate=validate.OneOf(STRIP),
        metadata={"description": "Drop the one folder that encloses everything."},
    )
    allow_secret_files = fields.Boolean(load_default=False)


class ReleasePatch(Schema):
    """What to change of a release."""

    pinned = fields.Boolean(metadata={"description": "Never prune it."})
    bad = fields.Boolean(metadata={"description": "Refuse to promote it."})
    message = text_field(
        500, allow_none=True, metadata={"description": "Null or nothing clears it."}
    )

    @post_load
    def no_message(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Write null as the empty message that it means."""
        if "message" in data:
            data["message"] = data["message"] or ""
        return data


class PublishedOut(Schema):
    """Where an upload was published by itself."""

    environment = fields.String(required=True)
    promotion = fields.Integer(required=True)


class ReleaseOut(Schema):
    """An immutable, complete set of files."""

    number = fields.Integer(required=True, metadata={"example": 12})
    digest = fields.String(
        required=True,
        allow_none=True,
        metadata={"example": SHA256, "description": "Null until the files are known."},
    )
    state = fields.String(
        required=True, validate=validate.OneOf(["processing", "ready", "failed", "archived"])
    )
    file_count = fields.Integer(required=True)
    size_bytes = fields.Integer(required=True)
    unique_bytes = fields.Integer(
        required=True, metadata={"description": "What it added to the store when it came."}
    )
    message = fields.String(required=True, allow_none=True)
    commit = fields.String(required=True, allow_none=True)
    source_url = fields.String(required=True, allow_none=True)
    created_by = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True)
    submissions = fields.Integer(required=True)
    verified_at = Moment(required=True, allow_none=True)
    pinned = fields.Boolean(required=True)
    bad = fields.Boolean(required=True)
    environments = fields.List(fields.String(), required=True)
    published = fields.Nested(PublishedOut, required=True, allow_none=True)
    promotion = fields.Nested(PromotionOut, allow_none=True)
    stripped = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The enclosing folder that was dropped."},
    )
    url = fields.String(required=True, allow_none=True)
    job = fields.String(
        allow_none=True, metadata={"description": "The job that brings the files, or failed to."}
    )
    same_as = fields.Integer(
        allow_none=True,
        metadata={"description": "The older release with the same content; promoted instead."},
    )


class ReleasesQuery(PageQuery):
    """Which releases to list."""

    sort = SortField("number", "created_at", default="-number")
    q = SearchField("message, commit and digest")


class ManifestEntryOut(Schema):
    """One file of a release."""

    path = fields.String(required=True, metadata={"example": "css/site.css"})
    sha256 = fields.String(required=True, metadata={"example": SHA256})
    size_bytes = fields.Integer(required=True)
    content_type = fields.String(required=True, metadata={"example": "text/css"})


class ManifestOut(Schema):
    """All files of a release; the digest is the SHA-256 over `hash size path` lines."""

    digest = fields.String(required=True, metadata={"example": SHA256})
    file_count = fields.Integer(required=True)
    size_bytes = fields.Integer(required=True)
    files = fields.List(fields.Nested(ManifestEntryOut), required=True, attribute="entries")
