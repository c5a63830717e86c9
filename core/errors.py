"""What can go wrong, as codes that clients may rely on.

A code is public and is never renamed. `api/problems.py` gives each its HTTP status, and
`core/problem_texts.py` the title and the explanation of its page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable, machine-readable names of every problem the API can answer with."""

    BAD_REQUEST = "bad_request"
    MALFORMED_JSON = "malformed_json"
    TOKEN_IN_URL = "token_in_url"
    TOKEN_MISSING = "token_missing"
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_REVOKED = "token_revoked"
    INVALID_CREDENTIALS = "invalid_credentials"
    OTP_REQUIRED = "otp_required"
    REFRESH_INVALID = "refresh_invalid"
    REFRESH_REUSED = "refresh_reused"
    REFRESH_CONFLICT = "refresh_conflict"
    LOGIN_THROTTLED = "login_throttled"
    SCOPE_MISSING = "scope_missing"
    SCOPE_NOT_HELD = "scope_not_held"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    ALREADY_EXISTS = "already_exists"
    PRECONDITION_FAILED = "precondition_failed"
    PRECONDITION_REQUIRED = "precondition_required"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    VALIDATION_FAILED = "validation_failed"
    RATE_LIMITED = "rate_limited"
    UPGRADE_REQUIRED = "upgrade_required"
    ORIGIN_REFUSED = "origin_refused"
    INTERNAL_ERROR = "internal_error"
    UNAVAILABLE = "unavailable"
    INSUFFICIENT_DISK = "insufficient_disk"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress"
    INVALID_TRANSITION = "invalid_transition"
    LAST_ADMIN = "last_admin"
    ROLE_IN_USE = "role_in_use"
    ROLE_CYCLE = "role_cycle"
    SESSION_REQUIRED = "session_required"
    ENVIRONMENT_LOCKED = "environment_locked"
    ENVIRONMENT_HELD = "environment_held"
    ENVIRONMENT_IN_USE = "environment_in_use"
    PROMOTION_IN_PROGRESS = "promotion_in_progress"
    PROMOTION_FAILED = "promotion_failed"
    OLDER_RELEASE = "older_release"
    RELEASE_NOT_READY = "release_not_ready"
    RELEASE_MARKED_BAD = "release_marked_bad"
    RELEASE_PROTECTED = "release_protected"
    PLAN_CHANGED = "plan_changed"
    BASE_CHANGED = "base_changed"
    BACKUP_FAILED = "backup_failed"
    DRIFT_DETECTED = "drift_detected"
    ARCHIVE_INVALID = "archive_invalid"
    SECRET_FILE = "secret_file"
    QUOTA_EXCEEDED = "quota_exceeded"
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_STALE = "approval_stale"
    SELF_APPROVAL = "self_approval"
    NO_ELIGIBLE_APPROVER = "no_eligible_approver"
    ALREADY_REVIEWED = "already_reviewed"
    REQUESTER_INACTIVE = "requester_inactive"
    UNSUPPORTED_REQUEST = "unsupported_request"
    INSTALLATION_BACKUP_INVALID = "installation_backup_invalid"
    INSTALLATION_NOT_EMPTY = "installation_not_empty"
    INSTALLATION_UNFINISHED = "installation_unfinished"
    SERVER_RUNNING = "server_running"
    UPGRADE_FAILED = "upgrade_failed"
    HOST_REFUSED = "host_refused"
    WEBHOOK_INACTIVE = "webhook_inactive"


@dataclass(frozen=True)
class FieldError:
    """One complaint about one input.

    `pointer` is a JSON pointer into the body, or `?name` for a query parameter. `message` never
    repeats the submitted value.
    """

    pointer: str
    code: str
    message: str


class DomainError(Exception):
    """A refusal that a person or a program can act on.

    Args:
        detail: one or two sentences for a person; must not contain secrets.
        code: overrides the class's own code.
        members: further members of the problem document, such as `allowed_actions`.
        errors: complaints about single inputs.
        retry_after_seconds: when trying again makes sense; becomes `Retry-After`.
    """

    code: ErrorCode = ErrorCode.INTERNAL_ERROR

    def __init__(
        self,
        detail: str,
        *,
        code: ErrorCode | None = None,
        members: Mapping[str, object] | None = None,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.members: dict[str, object] = dict(members or {})
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


class UnauthenticatedError(DomainError):
    """Nobody, or nobody any more, is behind this credential."""

    code = ErrorCode.TOKEN_INVALID


class ForbiddenError(DomainError):
    """The caller is known and may see the thing, but may not do this to it."""

    code = ErrorCode.SCOPE_MISSING

    @classmethod
    def missing_scopes(cls, *, required: Sequence[str], missing: Sequence[str]) -> "ForbiddenError":
        """Name the scopes that the operation needs and those the caller lacks."""
        return cls(
            f"This needs {', '.join(required)}.",
            members={"required": sorted(required), "missing": sorted(missing)},
        )


class NotFoundError(DomainError):
    """There is no such thing, or the caller may not know of it."""

    code = ErrorCode.NOT_FOUND


class InvalidInputError(DomainError):
    """The input is well-formed but cannot be accepted."""

    code = ErrorCode.VALIDATION_FAILED

    @classmethod
    def field(cls, pointer: str, message: str, *, code: str = "invalid") -> "InvalidInputError":
        """Complain about one input."""
        return cls("The input was refused.", errors=[FieldError(pointer, code, message)])


class ConflictError(DomainError):
    """The thing is in a state that does not allow this."""

    code = ErrorCode.ALREADY_EXISTS


class PreconditionError(DomainError):
    """What the caller assumed about the present state does not hold, or was not said."""

    code = ErrorCode.PRECONDITION_FAILED


class LimitExceededError(DomainError):
    """A configured limit was exceeded."""

    code = ErrorCode.BODY_TOO_LARGE

    @classmethod
    def of(
        cls,
        detail: str,
        *,
        limit: int,
        actual: int | None,
        setting: str,
        code: ErrorCode = ErrorCode.BODY_TOO_LARGE,
    ) -> "LimitExceededError":
        """Name the limit, what was seen (None when reading stopped early) and the setting."""
        return cls(
            detail, code=code, members={"limit": limit, "actual": actual, "setting": setting}
        )


class ThrottledError(DomainError):
    """Too many calls; `retry_after_seconds` says when to come back."""

    code = ErrorCode.RATE_LIMITED


class UnavailableError(DomainError):
    """Something this needs is not there at the moment."""

    code = ErrorCode.UNAVAILABLE


class InsufficientDiskError(DomainError):
    """The disk is full; nothing was changed."""

    code = ErrorCode.INSUFFICIENT_DISK


class OperationFailedError(DomainError):
    """Work began and did not succeed; the state is as it was before."""

    code = ErrorCode.PROMOTION_FAILED
