"""Walk through all operations of the API: what both documents and the collection list."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from flask_restx import Api
from flask_restx.swagger import extract_path, extract_path_params

from api.operation import Operation, operation_of
from api.problems import STATUS
from api.security import Auth
from core.errors import ErrorCode

METHODS = ("get", "post", "put", "patch", "delete")
MEANINGS: dict[int, str] = {
    101: "Now it is a WebSocket.",
    200: "Done.",
    201: "Made; `Location` says where.",
    202: "Accepted; `Location` says where to look.",
    204: "Done; nothing to say.",
    304: "Not modified.",
}


@dataclass(frozen=True, kw_only=True)
class Documented:
    """One operation and where it is."""

    operation: Operation
    function: object
    method: str
    path: str
    path_types: dict[str, str]
    tag: str
    operation_id: str

    @property
    def good_statuses(self) -> list[int]:
        """The statuses of answers that are no problems."""
        return sorted({self.operation.status, *self.operation.statuses})

    @property
    def is_conditional_read(self) -> bool:
        """True when the answer is tagged, so that 304 is possible."""
        return (
            self.method == "get"
            and self.operation.response is not None
            and self.operation.produces is None
        )

    def problems(self) -> dict[int, list[ErrorCode]]:
        """Return the codes that the operation can answer with, by status."""
        by_status: dict[int, list[ErrorCode]] = {}
        for code in dict.fromkeys([*_implied_codes(self), *self.operation.errors]):
            by_status.setdefault(int(STATUS[code]), []).append(code)
        return dict(sorted(by_status.items()))


def documented_operations(api: Api) -> list[Documented]:
    """Return every operation once, in the order in which they were declared.

    Raises:
        ValueError: two operations got the same id, or a handler declares nothing.
    """
    found = list(_walk(api))
    ids = [entry.operation_id for entry in found]
    doubled = {name for name in ids if ids.count(name) > 1}
    if doubled:
        raise ValueError(f"operation ids are used twice: {sorted(doubled)}")
    return found


def meaning(status: int) -> str:
    """Describe a good status in a sentence."""
    return MEANINGS.get(status, HTTPStatus(status).phrase)


def describe(codes: list[ErrorCode]) -> str:
    """List codes for the description of an answer."""
    return ", ".join(f"`{code}`" for code in codes)


def _walk(api: Api) -> Iterator[Documented]:
    for namespace in api.namespaces:
        for resource, urls, _doc, _kwargs in namespace.resources:
            for url in api.ns_urls(namespace, urls):
                for method in METHODS:
                    function = getattr(resource, method, None)
                    if function is not None:
                        yield _document(namespace.name, url, method, function)


def _document(tag: str, url: str, method: str, function: object) -> Documented:
    operation = operation_of(function)
    if operation is None:
        raise ValueError(f"{method} {url} lacks @endpoint")
    parameters = extract_path_params(url)
    return Documented(
        operation=operation,
        function=function,
        method=method,
        path=extract_path(url),
        path_types={name: str(parameter["type"]) for name, parameter in parameters.items()},
        tag=tag,
        operation_id=_operation_id(method, extract_path(url), operation),
    )


def _operation_id(method: str, path: str, operation: Operation) -> str:
    """Derive a stable id from method and path: `list_sites`, `get_sites_releases_by_number`."""
    verb = "list" if method == "get" and operation.paging is not None else method
    words = [part for part in path.split("/") if part and not part.startswith("{")]
    last = path.rpartition("/")[2]
    if last.startswith("{"):
        words.append(f"by_{last.strip('{}')}")
    return re.sub(r"\W+", "_", "_".join([verb, *words]))


def _implied_codes(entry: Documented) -> Iterator[ErrorCode]:
    """Yield the codes that follow from what an operation reads and demands."""
    operation = entry.operation
    yield ErrorCode.TOKEN_IN_URL
    yield ErrorCode.RATE_LIMITED
    if operation.response is not None or operation.produces not in (None, "*/*"):
        yield ErrorCode.NOT_ACCEPTABLE
    if operation.auth is Auth.REQUIRED:
        yield ErrorCode.TOKEN_MISSING
        yield ErrorCode.TOKEN_INVALID
        yield ErrorCode.TOKEN_EXPIRED
        yield ErrorCode.TOKEN_REVOKED
        yield ErrorCode.SCOPE_MISSING
    if entry.path_types:
        yield ErrorCode.NOT_FOUND
    yield ErrorCode.VALIDATION_FAILED
    if entry.method != "get":
        yield from _body_codes(operation)
    if entry.method == "get" or operation.current is not None:
        yield ErrorCode.PRECONDITION_FAILED
    if operation.needs_match:
        yield ErrorCode.PRECONDITION_REQUIRED
    if operation.idempotent:
        yield ErrorCode.IDEMPOTENCY_MISMATCH
        yield ErrorCode.IDEMPOTENCY_IN_PROGRESS


def _body_codes(operation: Operation) -> Iterator[ErrorCode]:
    yield ErrorCode.BODY_TOO_LARGE
    yield ErrorCode.UNSUPPORTED_MEDIA_TYPE
    yield ErrorCode.PRECONDITION_FAILED
    if operation.upload is None:
        yield ErrorCode.MALFORMED_JSON
