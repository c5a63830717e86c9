"""The one decorator of all operations: declares what they read and answer, and enforces it.

The order of checks is part of the contract: 406, 429, 401, 403 for scopes the credential can
never have, then what `guard` and `current` say of the thing itself (404, 403), 415, 413, 400 and
422 for body and query, 428, 412, the Idempotency-Key, and what the service says.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Response, request
from flask.globals import request_ctx
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from api import conditional, csv, idempotency, rate_limit
from api.json_bodies import read_json
from api.made import with_tag_of_made
from api.operation import METADATA, Operation, Paging, Upload, declared_parameters
from api.paging import take_cursor, take_page
from api.queries import load_query
from api.representations import (
    CSV_TYPE,
    choose_media_type,
    dump,
    render,
)
from api.security import Auth, identify, known_actor
from api.strictness import take_literally
from api.uploads import open_upload
from api.validation import field_errors, refuse
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    FieldError,
    ForbiddenError,
    NotFoundError,
)
from core.settings import current_settings
from services import refusals
from services.actors import Actor
from services.transaction import keeping_connection

Handler = TypeVar("Handler", bound=Callable[..., Any])
SchemaLike = Schema | type[Schema] | None

METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")


class _NoFields(Schema):
    """A body that says nothing: `{}` or none at all."""


_NO_FIELDS = _NoFields()
_NO_ARGUMENTS: MultiDict[str, str] = ImmutableMultiDict()


def endpoint(
    *,
    summary: str,
    description: str = "",
    body: SchemaLike = None,
    query: SchemaLike = None,
    response: SchemaLike = None,
    status: int = 200,
    statuses: Mapping[int, SchemaLike] | None = None,
    errors: tuple[ErrorCode, ...] = (),
    auth: Auth = Auth.REQUIRED,
    scopes: tuple[str, ...] = (),
    paging: Paging | None = None,
    csv: bool = False,
    upload: Upload | None = None,
    idempotent: bool | None = None,
    produces: str | None = None,
    guard: Callable[..., object] | None = None,
    current: Callable[..., object] | None = None,
    shown_as: SchemaLike = None,
    example: Mapping[str, object] | None = None,
) -> Callable[[Handler], Handler]:
    """Declare an operation on a method of a restx Resource.

    The handler gets those of `actor`, `body`, `query`, `page`, `expected_version` and the parts
    of the path that its signature names.

    Args:
        body: schema of the JSON body; without one only `{}` or no body is accepted.
        query: schema of the query string; lists derive it from PageQuery or CursorQuery.
        response: schema of the answer, of one item for lists; None answers without a body.
        statuses: further good answers, `{202: PromotionOut}`.
        errors: codes beyond those that follow from the rest, for the documents.
        auth: whether a credential is needed, used when there, or never looked at.
        scopes: refused with 403 when this credential can never hold them; the service decides
            for the thing at hand.
        paging: the handler takes `page` and returns a Page or CursorPage.
        csv: the list is also available as text/csv, all rows.
        upload: the body is a file; the handler's `body` is an UploadBody.
        idempotent: whether Idempotency-Key counts; by default on every authenticated POST.
        produces: media type of an answer that is not JSON; `*/*` when it depends.
        guard: called as `guard(actor=, **path)` before the body is read; raises 404 or 403.
        current: called like `guard`, returns the thing in its present form: what If-Match is
            compared with, written by `shown_as` or else `response`, the schema of its GET.
            Needed on PATCH. Its `version`, if it has one, is handed to the
            handler as `expected_version`, so that of two changes only one gets through.
        example: a body for the documents and the Postman collection.
    """

    def decorate(handler: Handler) -> Handler:
        method = handler.__name__.upper()
        operation = Operation(
            summary=summary,
            description=description,
            body=take_literally(_instance(body)),
            query=_instance(query),
            response=_instance(response),
            status=status,
            statuses={code: _instance(schema) for code, schema in (statuses or {}).items()},
            errors=errors,
            auth=auth,
            scopes=scopes,
            paging=paging,
            csv=csv,
            upload=upload,
            idempotent=_is_idempotent(method, auth) if idempotent is None else idempotent,
            needs_match=method == "PATCH",
            produces=produces,
            guard=guard,
            current=current,
            shown_as=_instance(shown_as) or _instance(response),
            example=example,
            wants=declared_parameters(handler),
        )
        _check_declaration(operation, handler.__qualname__)

        @functools.wraps(handler)
        def run(resource: object, **path: Any) -> WerkzeugResponse:  # Any: parts of the path
            try:
                call = functools.partial(handler, resource)
                with keeping_connection():
                    return _run(operation, call, path)
            except (ForbiddenError, ConflictError) as refusal:
                _note_refusal(refusal)
                raise

        run.__doc__ = f"{summary}\n\n{description}".strip()  # what restx documents
        setattr(run, METADATA, operation)
        return run  # type: ignore[return-value]  # same call, other result

    return decorate


def _check_declaration(operation: Operation, name: str) -> None:
    if operation.needs_match and operation.current is None:
        raise TypeError(f"{name}: PATCH needs current=")
    if operation.current is not None and operation.shown_as is None:
        raise TypeError(f"{name}: current= needs shown_as=, the schema that GET answers with")


def _is_idempotent(method: str, auth: Auth) -> bool:
    return method == "POST" and auth is Auth.REQUIRED


def _instance(schema: SchemaLike) -> Schema | None:
    return schema() if isinstance(schema, type) else schema


def _run(
    operation: Operation, handler: Callable[..., Any], path: Mapping[str, Any]
) -> WerkzeugResponse:
    method = request_ctx.request.method
    identity = identify(operation.auth)
    rate_limit.count_call(identity)
    media_type = choose_media_type(operation)
    rate_limit.refuse_when_exceeded()
    if identity.refusal is not None:
        raise identity.refusal
    actor = identity.actor
    if actor is not None:
        actor.require_ever(*operation.scopes)
    if operation.guard is not None:
        operation.guard(actor=actor, **path)
    version, tag = _current(operation, actor, path)
    arguments, raw_body = _load(operation)
    if method in METHODS_WITH_BODY:
        _check_conditions(operation, tag)
    arguments |= {"actor": actor, "expected_version": version}

    def work() -> WerkzeugResponse:
        wanted = {name: value for name, value in arguments.items() if name in operation.wants}
        if media_type == CSV_TYPE:
            return csv.stream(operation, functools.partial(handler, **path), wanted)
        return with_tag_of_made(operation, actor, render(operation, handler(**wanted, **path)))

    key = idempotency.key_of_request() if operation.idempotent else None
    if key is None or actor is None:
        return work()
    return idempotency.once(key, actor, raw_body, work)


def _note_refusal(refusal: DomainError) -> None:
    """Write it into the audit trail when somebody known was refused a change."""
    actor = known_actor()
    if actor is not None and request.method in METHODS_WITH_BODY and request.url_rule is not None:
        operation = f"{request.method} {request.url_rule.rule}"
        refusals.note(actor=actor, operation=operation, code=refusal.code)


def _current(
    operation: Operation, actor: Actor | None, path: Mapping[str, Any]
) -> tuple[object, str | None]:
    """Return version and tag of the thing as it is; (None, None) where they do not matter."""
    schema = operation.shown_as
    if operation.current is None or schema is None:
        return None, None
    if not operation.needs_match and not conditional.has_write_conditions():
        return None, None
    try:
        value = operation.current(actor=actor, **path)
    except NotFoundError:
        if request.method == "PUT":  # it may be about to be made
            return None, None
        raise
    tag = conditional.etag_of(dump(schema, value))
    version = None if conditional.overwrites_any() else getattr(value, "version", None)
    return version, tag


def _check_conditions(operation: Operation, tag: str | None) -> None:
    if operation.needs_match:
        conditional.require_if_match()
    if conditional.has_write_conditions():
        conditional.check_write_conditions(tag)


def _load(operation: Operation) -> tuple[dict[str, Any], object]:
    """Return the loaded parts of the request, and the body as it came for the fingerprint."""
    raw: object = {}
    body: object = {}
    errors: list[FieldError] = []
    asked = request_ctx.request
    if operation.upload is not None:
        body = raw = open_upload(asked, limit=current_settings().max_upload_bytes)
    elif asked.method in METHODS_WITH_BODY:
        raw = read_json(asked, max_bytes=current_settings().max_json_bytes)
        body, errors = _load_body(operation.body or _NO_FIELDS, raw)
    given = asked.args if asked.query_string else _NO_ARGUMENTS
    query, query_errors = load_query(operation.query, given)
    refuse([*query_errors, *errors])
    arguments: dict[str, Any] = {"body": body, "query": query}
    if operation.paging is not None:
        take = take_cursor if operation.paging is Paging.CURSOR else take_page
        arguments["page"] = take(query)
    return arguments, raw


def _load_body(schema: Schema, raw: object) -> tuple[object, list[FieldError]]:
    try:
        return schema.load(raw), []  # type: ignore[arg-type]  # anything else is refused by load
    except ValidationError as error:
        return {}, field_errors(error.messages)


def no_content() -> Response:
    """Return the answer of an operation that has nothing to say."""
    return Response(status=204)
