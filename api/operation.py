"""What one operation of the API reads, answers and demands; kept on its handler."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from marshmallow import Schema

from api.security import Auth
from core.errors import ErrorCode

METADATA = "__endpoint__"


class Paging(StrEnum):
    """How a list is cut: by page number, or by a cursor into a history."""

    PAGE = "page"
    CURSOR = "cursor"


class Upload(StrEnum):
    """What the body of an upload is, apart from JSON."""

    ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """One operation, equal to no other one.

    `api.endpoint.endpoint` says what each part means.
    """

    summary: str
    description: str = ""
    body: Schema | None = None
    query: Schema | None = None
    response: Schema | None = None
    status: int = 200
    statuses: Mapping[int, Schema | None] = field(default_factory=dict)
    errors: tuple[ErrorCode, ...] = ()
    auth: Auth = Auth.REQUIRED
    scopes: tuple[str, ...] = ()
    paging: Paging | None = None
    csv: bool = False
    upload: Upload | None = None
    idempotent: bool = False
    needs_match: bool = False
    produces: str | None = None
    guard: Callable[..., object] | None = None
    current: Callable[..., object] | None = None
    shown_as: Schema | None = None
    example: Mapping[str, object] | None = None
    wants: frozenset[str] = frozenset()

    def schema_for(self, status: int) -> Schema | None:
        """Return the schema of the answer with `status`."""
        return self.statuses.get(status, self.response)


def operation_of(function: object) -> Operation | None:
    """Return what was declared for a handler, or None when nothing was."""
    operation = getattr(function, METADATA, None)
    return operation if isinstance(operation, Operation) else None


def declared_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters that a handler asks for."""
    return frozenset(inspect.signature(function).parameters)
