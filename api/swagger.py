"""The Swagger 2.0 document, written by restx from models that come from marshmallow.

Where 2.0 cannot say a thing it says the main form: an upload is a form with a file, an answer
in JSON or CSV is JSON, and a problem has the media type of the operation.
"""

from typing import Any, cast

from flask_restx import Api, SchemaModel

from api.catalog import Catalog, Document
from api.documented import Documented, describe, documented_operations, meaning
from api.openapi import DESCRIPTION, PARAMETERS, SCHEME
from api.representations import CSV_TYPE, JSON_TYPE
from api.security import Auth

VERSION = "2.0"
AUTHORIZATION_HELP = "Type `Bearer`, a space, and an access token or an API token (rlv_...)."


def swagger_document(api: Api) -> Document:
    """Write the whole document."""
    catalog = Catalog(VERSION)
    documented = documented_operations(api)
    references = {entry.operation_id: _references(entry, catalog) for entry in documented}
    definitions = catalog.definitions()
    for name, definition in definitions.items():
        api.models[name] = SchemaModel(name, definition)
    for entry in documented:
        cast(Any, entry.function).__apidoc__ = _apidoc(
            entry, references[entry.operation_id], catalog, api
        )
    api.description = DESCRIPTION
    api.authorizations = {
        SCHEME: {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": AUTHORIZATION_HELP,
        }
    }
    api.error_handlers.clear()  # restx documents its own, which are never used
    return {**api.__schema__, "definitions": definitions}  # restx leaves nested ones out


def _references(entry: Documented, catalog: Catalog) -> dict[str, str | None]:
    """Register the schemas of an operation and return the names of their components."""
    operation = entry.operation
    names: dict[str, str | None] = {
        "body": None if operation.body is None else _name(catalog.body(operation.body)),
        "problem": _name(catalog.problem),
    }
    for status in entry.good_statuses:
        schema = operation.schema_for(status)
        if schema is None:
            names[str(status)] = None
        elif operation.paging is not None:
            names[str(status)] = _name(catalog.listing(schema, operation.paging))
        else:
            names[str(status)] = _name(catalog.answer(schema))
    return names


def _name(reference: Document) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _apidoc(
    entry: Documented, names: dict[str, str | None], catalog: Catalog, api: Api
) -> Document:
    operation = entry.operation
    document: Document = {
        "id": entry.operation_id,
        "params": _parameters(entry, catalog),
        "responses": _responses(entry, names, api),
        "security": [] if operation.auth is Auth.NONE else SCHEME,
    }
    body = names["body"]
    if body is not None:
        document["expect"] = [api.models[body]]
    if operation.csv:
        document["produces"] = [JSON_TYPE, CSV_TYPE]
    elif operation.produces is not None:
        document["produces"] = [operation.produces.replace("*/*", "application/octet-stream")]
    if operation.scopes:
        document["vendor"] = {"x-required-scopes": list(operation.scopes)}
    return document


def _parameters(entry: Documented, catalog: Catalog) -> dict[str, Document]:
    operation = entry.operation
    parameters = {
        str(parameter["name"]): _query_parameter(parameter)
        for parameter in (catalog.query(operation.query) if operation.query else [])
    }
    if operation.upload is not None:
        parameters["file"] = {"in": "formData", "type": "file", "required": True}
    wanted = {"If-Match": operation.needs_match, "Idempotency-Key": operation.idempotent}
    for name, is_wanted in wanted.items():
        if is_wanted:
            parameters[name] = _header_parameter(name)
    return parameters


def _query_parameter(parameter: Document) -> Document:
    """Leave out what 2.0 does not know outside of bodies."""
    return {key: value for key, value in parameter.items() if key not in ("name", "example")}


def _header_parameter(name: str) -> Document:
    parameter = PARAMETERS[name]
    return {
        "in": "header",
        "type": "string",
        "required": bool(parameter.get("required", False)),
        "description": parameter["description"],
    }


def _responses(entry: Documented, names: dict[str, str | None], api: Api) -> Document:
    responses: Document = {}
    for status in entry.good_statuses:
        name = names[str(status)]
        responses[str(status)] = (meaning(status), api.models[name] if name else None)
    if entry.is_conditional_read:
        responses["304"] = (meaning(304), None)
    problem = api.models[names["problem"]]
    for status, codes in entry.problems().items():
        responses[str(status)] = (describe(codes), problem)
    responses["default"] = ("Any other problem.", problem)
    return responses
