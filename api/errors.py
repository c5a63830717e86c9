"""Turn every exception into a problem document, the same in tests and in production."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from flask_restx import Api
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as WerkzeugResponse

from api.problems import domain_problem, problem
from api.routing import API_PREFIX
from api.validation import field_errors
from core.errors import DomainError, ErrorCode
from services.failures import as_domain_error

logger = logging.getLogger(__name__)

KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate", "Content-Range")
HTTP_CODES: dict[int, ErrorCode] = {
    401: ErrorCode.TOKEN_INVALID,
    403: ErrorCode.SCOPE_MISSING,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    406: ErrorCode.NOT_ACCEPTABLE,
    412: ErrorCode.PRECONDITION_FAILED,
    413: ErrorCode.BODY_TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    422: ErrorCode.VALIDATION_FAILED,
    428: ErrorCode.PRECONDITION_REQUIRED,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
    507: ErrorCode.INSUFFICIENT_DISK,
}
HTTP_DETAILS: dict[ErrorCode, str] = {
    ErrorCode.BAD_REQUEST: "The request could not be understood.",
    ErrorCode.NOT_FOUND: "There is nothing at this address.",
    ErrorCode.METHOD_NOT_ALLOWED: "This address does not know this method; see Allow.",
}


class RelevoApi(Api):
    """flask-restx for routing only: every error goes back to Flask.

    Left alone, restx answers 500 for a missing token, and echoes rejected input, passwords
    included, for a marshmallow ValidationError. # flask-restx #33, #335, #512
    """

    def error_router(
        self, original_handler: Callable[[Exception], Any], e: Exception
    ) -> Any:  # whatever Flask's own handler answers
        return original_handler(e)

    @property
    def base_path(self) -> str:
        return API_PREFIX

    def _register_specs(self, app_or_blueprint: object) -> None:
        """Serve no document of restx's own: DOCS_ACCESS would not cover it."""

    def _register_doc(self, app_or_blueprint: object) -> None:
        """Leave the root of the API and the pages alone; `api.docs` has better ones."""

    def _register_apidoc(self, app: Flask) -> None:
        """Do not serve restx's old Swagger UI."""


def register(app: Flask) -> None:
    """Register the handlers of the whole application, addresses outside the API included."""
    app.register_error_handler(DomainError, domain_problem)
    app.register_error_handler(ValidationError, _validation_problem)
    app.register_error_handler(RequestEntityTooLarge, _too_large_problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unforeseen_problem)


def _validation_problem(error: ValidationError) -> Response:
    return problem(
        ErrorCode.VALIDATION_FAILED,
        "The input was refused.",
        errors=field_errors(error.messages),
    )


def _too_large_problem(_error: RequestEntityTooLarge) -> Response:
    return problem(ErrorCode.BODY_TOO_LARGE, "The body is larger than allowed.")


def _http_problem(error: HTTPException) -> WerkzeugResponse:
    if error.code is None or error.code < 400:
        return error.get_response()
    default = ErrorCode.INTERNAL_ERROR if error.code >= 500 else ErrorCode.BAD_REQUEST
    code = HTTP_CODES.get(error.code, default)
    headers = error.get_response().headers
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    detail = HTTP_DETAILS.get(code, "The server could not answer this request.")
    return problem(code, detail, status=error.code, headers=kept)


def _unforeseen_problem(error: Exception) -> Response:
    known = as_domain_error(error)
    if known is not None:
        logger.warning("the environment failed", exc_info=error, extra={"code": known.code})
        return domain_problem(known)
    logger.error("unforeseen error", exc_info=error)
    return problem(
        ErrorCode.INTERNAL_ERROR, "The server failed; the log holds details under the request id."
    )
