"""Plans, promotions, rollbacks, restore points and drift on the wire."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from api.paging import PageQuery, QueryInteger, SearchField, SortField
from api.schemas.common import (
    SHA256,
    Moment,
    WholeText,
    check_max_wait,
    environment_field,
    line_field,
    number_field,
    text_field,
)
from services.promotion_facts import COMMIT_PREFIX
from services.promotion_rules import Approval

KINDS = ("promote", "rollback", "publish")
STATES = (
    "pending_approval",
    "queued",
    "running",
    "succeeded",
    "failed",
    "rolled_back",
    "needs_attention",
    "rejected",
    "expired",
    "superseded",
    "cancelled",
)
DIGEST = WholeText(r"^[0-9a-f]{64}$", error="Must be 64 hex digits.")
LAST_NUMBER = 2**31 - 1


class ReleaseReference(fields.Field[int | str]):
    """The number of a release, or `commit:<sha>` for the latest upload of a commit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            metadata={"description": "A number, or `commit:<sha>`.", "example": 12}, **options
        )

    def describe_in(self, openapi_version: int) -> dict[str, Any]:
        """Return the JSON schema; Swagger 2.0 has no word for alternatives."""
        if openapi_version < 3:
            return {"type": "string"}
        number = {"type": "integer", "minimum": 1, "maximum": LAST_NUMBER}
        return {"oneOf": [number, {"type": "string", "pattern": "^commit:.{1,64}$"}]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        # Any: marshmallow's signature
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LAST_NUMBER:
            return value
        if isinstance(value, str) and value.startswith(COMMIT_PREFIX) and len(value) <= 71:
            return value
        raise ValidationError("Must be the number of a release, or `commit:<sha>`.")


class QueryReleaseReference(ReleaseReference):
    """The same in a query, where a number comes as digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        # Any: marshmallow's signature
        is_number = isinstance(value, str) and value.isascii() and value.isdigit()
        known = int(value) if is_number and len(value) < 10 else value
        return super()._deserialize(known, attr, data, **kwargs)


class WaitQuery(Schema):
    """How long to hold the answer until the work ended."""

    wait = QueryInteger(
        load_default=0,
        validate=check_max_wait,
        metadata={"description": "Seconds, at most MAX_WAIT_SECONDS.", "example": 30},
    )


class PlanQuery(Schema):
    """What to compare with what."""

    from_environment = environment_field(data_key="from")
    release = QueryReleaseReference()
    to = environment_field(required=True)


class PlanEntryOut(Schema):
    """A file that comes or goes."""

    path = fields.String(required=True, metadata={"example": "index.html"})
    size_bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True, metadata={"example": SHA256})


class ChangedEntryOut(PlanEntryOut):
    """A file that changes."""

    previous_size_bytes = fields.Integer(required=True)
    previous_sha256 = fields.String(required=True, metadata={"example": SHA256})


class WarningOut(Schema):
    """Something to look at before promoting."""

    code = fields.String(required=True)
    path = fields.String(required=True)
    message = fields.String(required=True)


class CountsOut(Schema):
    """Exact numbers of files, also where the lists are cut."""

    added = fields.Integer(required=True)
    changed = fields.Integer(required=True)
    removed = fields.Integer(required=True)


class PlanOut(Schema):
    """What a promotion would change; lists are cut at 1,000 entries each."""

    release = fields.Integer(required=True)
    base_release = fields.Integer(required=True, allow_none=True)
    plan_hash = fields.String(required=True, metadata={"example": SHA256})
    counts = fields.Nested(CountsOut, required=True)
    added = fields.List(fields.Nested(PlanEntryOut), required=True)
    changed = fields.List(fields.Nested(ChangedEntryOut), required=True)
    removed = fields.List(fields.Nested(PlanEntryOut), required=True)
    bytes_added = fields.Integer(required=True)
    warnings = fields.List(fields.Nested(WarningOut), required=True)
    truncated = fields.Boolean(required=True)


class RefusalOut(Schema):
    """Why a promotion would be refused."""

    code = fields.String(required=True)
    detail = fields.String(required=True)


class DryRunOut(PlanOut):
    """A plan, and what a promotion would do with it."""

    would = fields.String(required=True, validate=validate.OneOf(["switch", "unchanged", "refuse"]))
    refusal = fields.Nested(RefusalOut, required=True, allow_none=True)


class PromotionIn(Schema):
    """What to promote where, and what the caller believes to be true."""

    to = environment_field(required=True)
    from_environment = environment_field(data_key="from", load_default=None)
    release = ReleaseReference()
    expected_release = number_field(allow_none=True)
    plan_hash = fields.String(load_default=None, validate=DIGEST, metadata={"example": SHA256})
    comment = text_field(2_000, load_default=None)
    allow_older = fields.Boolean(load_default=False)
    allow_bad = fields.Boolean(load_default=False)
    approval = fields.Enum(
        Approval,
        by_value=True,
        load_default=Approval.REQUEST,
        metadata={"description": "What to do where an approval is needed and there is none."},
    )
    dry_run = fields.Boolean(load_default=False)


class PromotionErrorOut(Schema):
    """Why a promotion did not succeed."""

    code = fields.String(required=True)
    detail = fields.String(required=True, allow_none=True)


class PromotionOut(Schema):
    """One move of one pointer."""

    number = fields.Integer(required=True, metadata={"example": 7})
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    phase = fields.String(required=True, allow_none=True)
    result = fields.String(
        required=True, allow_none=True, validate=validate.OneOf(["switched", "unchanged"])
    )
    from_environment = fields.String(required=True, allow_none=True)
    to_environment = fields.String(required=True)
    release = fields.Integer(required=True)
    previous_release = fields.Integer(required=True, allow_none=True)
    generation = fields.Integer(required=True, allow_none=True)
    plan_hash = fields.String(required=True, allow_none=True)
    backup = fields.String(required=True, allow_none=True)
    request = fields.Integer(required=True, allow_none=True)
    actor = fields.String(required=True, allow_none=True)
    comment = fields.String(required=True, allow_none=True)
    error = fields.Nested(PromotionErrorOut, required=True, allow_none=True)
    timings_ms = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    created_at = Moment(required=True)
    started_at = Moment(required=True, allow_none=True)
    finished_at = Moment(required=True, allow_none=True)
    url = fields.String(required=True)


class PromotionsQuery(PageQuery):
    """Which promotions to list."""

    sort = SortField("number", "created_at", default="-number")
    q = SearchField("comment and environment")
    environment = environment_field()
    state = fields.String(validate=validate.OneOf(STATES))
    kind = fields.String(validate=validate.OneOf(KINDS))


class RollbackIn(Schema):
    """Where to roll back to; by default to what was live before."""

    environment = environment_field(load_default="main")
    release = number_field(load_default=None)
    backup = line_field(22, load_default=None)
    reason = line_field(500, load_default=None)

    @post_load
    def one_target(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Refuse two targets at once."""
        if data["release"] is not None and data["backup"] is not None:
            raise ValidationError("Name a release or a backup, not both.", "backup")
        return data


class BackupOut(Schema):
    """A restore point."""

    id = fields.String(required=True)
    at = Moment(required=True)
    environment = fields.String(required=True)
    release = fields.Integer(required=True)
    verified_at = Moment(required=True)
    promotion = fields.Integer(required=True)


class BackupsQuery(PageQuery):
    """Which restore points to list."""

    sort = SortField("at", default="-at")
    environment = environment_field()


class DriftQuery(Schema):
    """What to look at, and how closely."""

    environment = environment_field(load_default="main")
    full = fields.Boolean(load_default=False, metadata={"description": "Read and hash every file."})


class DriftOut(Schema):
    """What differs between the files that are served and the release they should be."""

    clean = fields.Boolean(required=True)
    changed = fields.List(fields.String(), required=True)
    missing = fields.List(fields.String(), required=True)
    extra = fields.List(fields.String(), required=True)
    damaged_releases = fields.List(fields.Integer(), required=True)
