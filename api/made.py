"""The tag of what a POST made, so that a change can follow without a GET in between."""

from collections.abc import Callable
from typing import Any

from flask import Response, current_app, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from api.conditional import etag_of
from api.operation import Operation, operation_of
from api.queries import load_query
from api.representations import dump
from core.errors import DomainError
from services.actors import Actor

_WITHOUT_READER = "relevo_made_without_reader"
"""Endpoints whose things have no GET beside a PATCH; the same for all that one of them makes."""


def with_tag_of_made(
    operation: Operation, actor: Actor | None, response: WerkzeugResponse
) -> WerkzeugResponse:
    """Give a 201 the ETag that a GET of its Location has, if it shows the same.

    Only where a PATCH may follow. The GET is asked, with the rights of the caller. An answer that
    says more, such as a secret that is shown once, gets no tag; neither does one of a caller who
    may not read.
    """
    if response.status_code != 201 or not isinstance(response, Response):
        return response
    shown = _representation(response.headers["Location"], operation, actor)
    if shown is not None and shown == response.get_data():
        response.set_etag(etag_of(shown))
    return response


def _representation(path: str, made_by: Operation, actor: Actor | None) -> bytes | None:
    """Return what a GET of this path answers to this caller; None when that is nothing alike."""
    unread: set[str | None] = current_app.extensions.setdefault(_WITHOUT_READER, set())
    if request.endpoint in unread:
        return None
    found = _reader(path)
    if found is None:
        unread.add(request.endpoint)
        return None
    read, handler, parts = found
    schema, made = read.schema_for(200), made_by.schema_for(201)
    if schema is None or type(schema) is not type(made) or read.paging is not None:
        return None
    query, _ = load_query(read.query, MultiDict())
    arguments = {"actor": actor, "query": query}
    wanted = {name: value for name, value in arguments.items() if name in read.wants}
    try:
        if actor is not None:
            actor.require_ever(*read.scopes)
        return dump(schema, handler(None, **wanted, **parts))
    except DomainError:
        return None


def _reader(path: str) -> tuple[Operation, Callable[..., object], dict[str, Any]] | None:
    """Return what was declared for a GET of this path, its handler, and the parts of the path."""
    addresses = current_app.url_map.bind_to_environ(request.environ)
    try:
        endpoint, parts = addresses.match(path, method="GET")
    except HTTPException:
        return None
    resource = getattr(current_app.view_functions[endpoint], "view_class", None)
    method = getattr(resource, "get", None) if hasattr(resource, "patch") else None
    operation = operation_of(method)
    handler = getattr(method, "__wrapped__", None)
    return (operation, handler, dict(parts)) if operation and handler else None
