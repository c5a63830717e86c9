"""ETags and preconditions (RFC 9110, section 13)."""

import hashlib

from flask import request
from werkzeug.datastructures import ETags

from core.errors import ErrorCode, PreconditionError


class PreconditionRequiredError(PreconditionError):
    """A change of a shared thing came without If-Match."""

    code = ErrorCode.PRECONDITION_REQUIRED


def etag_of(representation: bytes) -> str:
    """Return the strong tag of exactly these bytes, without quotes."""
    return hashlib.sha256(representation).hexdigest()[:32]


def require_if_match() -> None:
    """Refuse a change that does not say which version it is meant for.

    Raises:
        PreconditionRequiredError: there is no If-Match.
    """
    if "If-Match" not in request.headers:
        raise PreconditionRequiredError(
            "Send the ETag of the version you read as If-Match, or `*` to overwrite any."
        )


def has_write_conditions() -> bool:
    """Tell whether the request carries a precondition of a change."""
    return "If-Match" in request.headers or "If-None-Match" in request.headers


def check_write_conditions(tag: str | None) -> None:
    """Refuse a change whose preconditions do not hold; `tag` is None where there is nothing.

    Weak tags never match in If-Match.

    Raises:
        PreconditionError: the thing is not the one that was meant.
    """
    if "If-Match" in request.headers and not _contains_strong(request.if_match, tag):
        raise PreconditionError("It changed since you read it; read it again.")
    if "If-None-Match" in request.headers and _contains(request.if_none_match, tag):
        raise PreconditionError("It exists already in this form.")


def is_not_modified(tag: str) -> bool:
    """Tell whether the caller of a GET or HEAD has this representation already."""
    return "If-None-Match" in request.headers and _contains(request.if_none_match, tag)


def overwrites_any() -> bool:
    """Tell whether If-Match is `*`: whatever is there now is meant."""
    return "If-Match" in request.headers and request.if_match.star_tag


def _contains_strong(tags: ETags, tag: str | None) -> bool:
    return tag is not None and (tags.star_tag or tags.is_strong(tag))


def _contains(tags: ETags, tag: str | None) -> bool:
    return tag is not None and tags.contains_weak(tag)
