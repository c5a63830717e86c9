"""What the server tells about itself."""

from marshmallow import Schema, fields


class VersionOut(Schema):
    """Which program answers."""

    name = fields.String(required=True, metadata={"example": "relevo"})
    version = fields.String(required=True, metadata={"example": "0.1.0"})
    api = fields.String(required=True, metadata={"example": "v1"})


class LimitsOut(Schema):
    """The limits in force, by the name of their setting in lower case."""

    api_rate_limit = fields.String(required=True, metadata={"example": "600/minute"})
    login_rate_limit = fields.String(required=True, metadata={"example": "10/minute"})
    max_json_bytes = fields.Integer(required=True)
    max_upload_bytes = fields.Integer(required=True)
    max_release_bytes = fields.Integer(required=True)
    max_release_files = fields.Integer(required=True)
    max_file_bytes = fields.Integer(required=True)
    max_path_depth = fields.Integer(required=True)
    inline_release_files = fields.Integer(required=True)
    inline_release_bytes = fields.Integer(required=True)
    inline_prune_files = fields.Integer(required=True)
    max_wait_seconds = fields.Integer(required=True)
    max_listeners_per_user = fields.Integer(
        required=True,
        metadata={"description": "Of one process; 0 means a quarter of its places, at least 1."},
    )
    access_token_minutes = fields.Integer(required=True)
    refresh_token_days = fields.Integer(required=True)
    session_max_days = fields.Integer(required=True)
    token_max_days = fields.Integer(required=True)
