"""The OpenAPI 3.1 document: the complete description, for generators and ReDoc."""

from typing import Any

from flask_restx import Api

from api.catalog import Catalog, Document
from api.documented import Documented, describe, documented_operations, meaning
from api.idempotency import HEADER as IDEMPOTENCY_HEADER
from api.problems import MEDIA_TYPE as PROBLEM_TYPE
from api.representations import CSV_TYPE, JSON_TYPE
from api.routing import API_PREFIX
from api.security import Auth

VERSION = "3.1.0"
DESCRIPTION = (
    "Promotes static sites from test to main atomically, with backup, rollback and an audit "
    "trail. Send `Authorization: Bearer` with an access token or an API token. Every error is "
    "a problem document with a stable `code`."
)
SCHEME = "bearer"
UPLOAD_TYPES = ("application/octet-stream", "application/zip", "application/gzip")
HEADERS: dict[str, str] = {
    "ETag": "Tag of exactly this representation; send it as If-Match or If-None-Match.",
    "Location": "Where the thing that was made can be read.",
    "Link": "first, prev, next and last page (RFC 8288).",
}
PARAMETERS: dict[str, Document] = {
    IDEMPOTENCY_HEADER: {
        "name": IDEMPOTENCY_HEADER,
        "in": "header",
        "description": "Makes repetitions safe for 24 hours; use a fresh one for each attempt.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The ETag that was read, or `*` to overwrite whatever is there.",
        "schema": {"type": "string"},
    },
}


def openapi_document(api: Api) -> Document:
    """Write the whole document.

    The server is relative, so that trying out works under whatever name this page was reached.
    """
    catalog = Catalog(VERSION)
    paths: dict[str, Document] = {}
    for entry in documented_operations(api):
        paths.setdefault(entry.path, {})[entry.method] = _operation(entry, catalog)
    return {
        "openapi": VERSION,
        "info": {"title": api.title, "version": api.version, "description": DESCRIPTION},
        "servers": [{"url": API_PREFIX}],
        "tags": [
            {"name": namespace.name, "description": namespace.description}
            for namespace in api.namespaces
            if namespace.resources
        ],
        "security": [{SCHEME: []}],
        "paths": paths,
        "components": {
            "schemas": catalog.definitions(),
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in HEADERS.items()
            },
            "parameters": PARAMETERS,
            "securitySchemes": {
                SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token from /auth/login, or an API token (rlv_...).",
                }
            },
        },
    }


def _operation(entry: Documented, catalog: Catalog) -> Document:
    operation = entry.operation
    document: Document = {
        "operationId": entry.operation_id,
        "summary": operation.summary,
        "tags": [entry.tag],
        "parameters": _parameters(entry, catalog),
        "responses": {**_answers(entry, catalog), **_problems(entry, catalog)},
    }
    if operation.description:
        document["description"] = operation.description
    if operation.auth is Auth.NONE:
        document["security"] = []
    elif operation.auth is Auth.OPTIONAL:
        document["security"] = [{}, {SCHEME: []}]
    if operation.scopes:
        document["x-required-scopes"] = list(operation.scopes)
    body = _body(entry, catalog)
    if body is not None:
        document["requestBody"] = body
    return document


def _parameters(entry: Documented, catalog: Catalog) -> list[Document]:
    parameters: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
        for name, kind in entry.path_types.items()
    ]
    if entry.operation.query is not None:
        parameters.extend(catalog.query(entry.operation.query))
    if entry.operation.needs_match:
        parameters.append({"$ref": "#/components/parameters/If-Match"})
    if entry.operation.idempotent:
        parameters.append({"$ref": f"#/components/parameters/{IDEMPOTENCY_HEADER}"})
    return parameters


def _body(entry: Documented, catalog: Catalog) -> Document | None:
    operation = entry.operation
    if operation.upload is not None:
        return {"required": True, "content": _upload_content()}
    if operation.body is None:
        return None
    content: Document = {"schema": catalog.body(operation.body)}
    if operation.example is not None:
        content["example"] = dict(operation.example)
    needed = any(field.required for field in operation.body.load_fields.values())
    return {"required": needed, "content": {JSON_TYPE: content}}


def _upload_content() -> Document:
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "contentMediaType": UPLOAD_TYPES[0]}},
    }
    raw: Document = {media_type: {} for media_type in UPLOAD_TYPES}
    return {**raw, "multipart/form-data": {"schema": form}}


def _answers(entry: Documented, catalog: Catalog) -> dict[str, Document]:
    answers = {str(status): _answer(entry, status, catalog) for status in entry.good_statuses}
    if entry.is_conditional_read:
        answers["304"] = {"description": meaning(304)}
    return answers


def _answer(entry: Documented, status: int, catalog: Catalog) -> Document:
    operation = entry.operation
    answer: Document = {"description": meaning(status)}
    headers = _header_names(entry, status)
    if headers:
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    schema = operation.schema_for(status)
    if schema is not None:
        paging = operation.paging
        reference = catalog.listing(schema, paging) if paging else catalog.answer(schema)
        answer["content"] = {JSON_TYPE: {"schema": reference}}
        if operation.csv:
            answer["content"][CSV_TYPE] = {"schema": {"type": "string"}}
    elif operation.produces is not None:
        answer["content"] = {operation.produces: {}}
    return answer


def _header_names(entry: Documented, status: int) -> list[str]:
    names = []
    if entry.is_conditional_read or (entry.method in ("patch", "put") and status == 200):
        names.append("ETag")
    if entry.operation.paging is not None:
        names.append("Link")
    if status in (201, 202):
        names.append("Location")
    return names


def _problems(entry: Documented, catalog: Catalog) -> dict[str, Any]:
    content = {PROBLEM_TYPE: {"schema": catalog.problem}}
    problems = {
        str(status): {"description": describe(codes), "content": content}
        for status, codes in entry.problems().items()
    }
    return {**problems, "default": {"description": "Any other problem.", "content": content}}
