"""Problem documents: one shape for everything that goes wrong, and the status of every code."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Response

from core.errors import DomainError, ErrorCode, FieldError
from core.logs import request_id
from core.problem_texts import PROBLEM_TEXTS
from core.settings import current_settings

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

STATUS: dict[ErrorCode, HTTPStatus] = {
    ErrorCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorCode.MALFORMED_JSON: HTTPStatus.BAD_REQUEST,
    ErrorCode.TOKEN_IN_URL: HTTPStatus.BAD_REQUEST,
    ErrorCode.TOKEN_MISSING: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_INVALID: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_REVOKED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.INVALID_CREDENTIALS: HTTPStatus.UNAUTHORIZED,
    ErrorCode.OTP_REQUIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.REFRESH_INVALID: HTTPStatus.UNAUTHORIZED,
    ErrorCode.REFRESH_REUSED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.REFRESH_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.LOGIN_THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.SCOPE_MISSING: HTTPStatus.FORBIDDEN,
    ErrorCode.SCOPE_NOT_HELD: HTTPStatus.FORBIDDEN,
    ErrorCode.SESSION_REQUIRED: HTTPStatus.FORBIDDEN,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.NOT_ACCEPTABLE: HTTPStatus.NOT_ACCEPTABLE,
    ErrorCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    ErrorCode.PRECONDITION_FAILED: HTTPStatus.PRECONDITION_FAILED,
    ErrorCode.PRECONDITION_REQUIRED: HTTPStatus.PRECONDITION_REQUIRED,
    ErrorCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.VALIDATION_FAILED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.UPGRADE_REQUIRED: HTTPStatus.UPGRADE_REQUIRED,
    ErrorCode.ORIGIN_REFUSED: HTTPStatus.FORBIDDEN,
    ErrorCode.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INSUFFICIENT_DISK: HTTPStatus.INSUFFICIENT_STORAGE,
    ErrorCode.IDEMPOTENCY_MISMATCH: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.IDEMPOTENCY_IN_PROGRESS: HTTPStatus.CONFLICT,
    ErrorCode.INVALID_TRANSITION: HTTPStatus.CONFLICT,
    ErrorCode.LAST_ADMIN: HTTPStatus.CONFLICT,
    ErrorCode.ROLE_IN_USE: HTTPStatus.CONFLICT,
    ErrorCode.ROLE_CYCLE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.ENVIRONMENT_LOCKED: HTTPStatus.CONFLICT,
    ErrorCode.ENVIRONMENT_HELD: HTTPStatus.CONFLICT,
    ErrorCode.ENVIRONMENT_IN_USE: HTTPStatus.CONFLICT,
    ErrorCode.PROMOTION_IN_PROGRESS: HTTPStatus.CONFLICT,
    ErrorCode.PROMOTION_FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.OLDER_RELEASE: HTTPStatus.CONFLICT,
    ErrorCode.RELEASE_NOT_READY: HTTPStatus.CONFLICT,
    ErrorCode.RELEASE_MARKED_BAD: HTTPStatus.CONFLICT,
    ErrorCode.RELEASE_PROTECTED: HTTPStatus.CONFLICT,
    ErrorCode.PLAN_CHANGED: HTTPStatus.CONFLICT,
    ErrorCode.BASE_CHANGED: HTTPStatus.PRECONDITION_FAILED,
    ErrorCode.BACKUP_FAILED: HTTPStatus.CONFLICT,
    ErrorCode.DRIFT_DETECTED: HTTPStatus.CONFLICT,
    ErrorCode.ARCHIVE_INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.SECRET_FILE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.QUOTA_EXCEEDED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.APPROVAL_REQUIRED: HTTPStatus.CONFLICT,
    ErrorCode.APPROVAL_STALE: HTTPStatus.CONFLICT,
    ErrorCode.SELF_APPROVAL: HTTPStatus.FORBIDDEN,
    ErrorCode.NO_ELIGIBLE_APPROVER: HTTPStatus.CONFLICT,
    ErrorCode.ALREADY_REVIEWED: HTTPStatus.CONFLICT,
    ErrorCode.REQUESTER_INACTIVE: HTTPStatus.CONFLICT,
    ErrorCode.UNSUPPORTED_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INSTALLATION_BACKUP_INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INSTALLATION_NOT_EMPTY: HTTPStatus.CONFLICT,
    ErrorCode.INSTALLATION_UNFINISHED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.SERVER_RUNNING: HTTPStatus.CONFLICT,
    ErrorCode.UPGRADE_FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.HOST_REFUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.WEBHOOK_INACTIVE: HTTPStatus.CONFLICT,
}


def problem(
    code: ErrorCode,
    detail: str,
    *,
    status: int | None = None,
    errors: Sequence[FieldError] = (),
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Write the problem document for `code`.

    Args:
        status: overrides the code's own, for HTTP errors that have no code of their own.
        members: further members; they never replace the standard ones.
        headers: further response headers.
    """
    number = int(status or STATUS[code])
    document: dict[str, object] = {
        **(members or {}),
        "type": f"{current_settings().public_url}/problems/{code}",
        "title": PROBLEM_TEXTS[code].title,
        "status": number,
        "detail": detail,
        "code": code.value,
        "request_id": request_id(),
    }
    if errors:
        document["errors"] = [
            {"pointer": error.pointer, "code": error.code, "message": error.message}
            for error in errors
        ]
    response = Response(json.dumps(document, default=str), status=number, mimetype=MEDIA_TYPE)
    response.headers.update(headers or {})
    _add_standard_headers(response, code)
    return response


def domain_problem(error: DomainError) -> Response:
    """Write the problem document of a refusal."""
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, error.retry_after_seconds))
    return problem(
        error.code, error.detail, errors=error.errors, members=error.members, headers=headers
    )


def _add_standard_headers(response: Response, code: ErrorCode) -> None:
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers.setdefault("WWW-Authenticate", _challenge(code))
    if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
        response.headers["Upgrade"] = "websocket"
    if response.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers.setdefault("Retry-After", str(RETRY_SECONDS))


def _challenge(code: ErrorCode) -> str:
    """Return the challenge that RFC 9110 demands on every 401, with RFC 6750's reason."""
    if code in (ErrorCode.TOKEN_INVALID, ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_REVOKED):
        return 'Bearer realm="relevo", error="invalid_token"'
    return 'Bearer realm="relevo"'
