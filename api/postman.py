"""A Postman collection (2.1) that runs from top to bottom and asserts every status.

It signs in as an administrator, makes people, a site and releases, promotes, rolls back, and
removes all of it again. Operations that no step uses yet lie in a folder of their own.
"""

import json
from collections.abc import Iterable
from urllib.parse import quote

from flask_restx import Api

from api.catalog import Document
from api.documented import Documented, documented_operations
from api.postman_parts import Step
from api.postman_steps import CHAPTERS, PATH_VALUES, small_site
from api.routing import API_PREFIX

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
REST = "Further operations"
JSON_TYPE = "application/json"


def postman_collection(api: Api, *, server_url: str) -> Document:
    """Write the collection; `username` and `password` of an administrator are to be filled in."""
    operations = {entry.operation_id: entry for entry in documented_operations(api)}
    folders = [
        {
            "name": chapter.name,
            "item": [
                _item(operations[step.operation], step)
                for step in chapter.steps
                if step.operation in operations
            ],
        }
        for chapter in CHAPTERS
    ]
    rest = [_item(entry, _plain_step(entry)) for entry in _unused(operations.values())]
    if rest:
        folders.append({"name": REST, "item": rest})
    variables = {"base_url": server_url, "username": "admin", "password": ""}
    return {
        "info": {"name": "Relevo", "schema": SCHEMA, "description": __doc__},
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
        "item": [folder for folder in folders if folder["item"]],
    }


def _unused(operations: Iterable[Documented]) -> list[Documented]:
    used = {step.operation for chapter in CHAPTERS for step in chapter.steps}
    return [entry for entry in operations if entry.operation_id not in used]


def _plain_step(entry: Documented) -> Step:
    return Step(operation=entry.operation_id, body=entry.operation.example)


def _item(entry: Documented, step: Step) -> Document:
    events = [_event("test", _assertions(entry, step))]
    if step.before:
        events.append(_event("prerequest", list(step.before)))
    return {
        "name": step.name or entry.operation.summary,
        "request": _request(entry, step),
        "event": events,
    }


def _request(entry: Documented, step: Step) -> Document:
    request: Document = {
        "method": entry.method.upper(),
        "url": _url(entry, step),
        "header": _headers(entry),
        "auth": _auth(step.credential),
        "description": entry.operation.description or entry.operation.summary,
    }
    if step.archive is not None:
        _set_body(request, "application/octet-stream", small_site(step.archive))
    elif step.body is not None:
        text = json.dumps(dict(step.body), indent=2, ensure_ascii=False)
        _set_body(request, JSON_TYPE, text)
    return request


def _set_body(request: Document, media_type: str, text: str) -> None:
    request["header"].append({"key": "Content-Type", "value": media_type})
    request["body"] = {"mode": "raw", "raw": text}


def _headers(entry: Documented) -> list[Document]:
    headers = []
    if entry.operation.needs_match:
        headers.append({"key": "If-Match", "value": "*"})
    if entry.operation.idempotent:
        headers.append({"key": "Idempotency-Key", "value": "{{$guid}}"})
    return headers


def _auth(credential: str | None) -> Document:
    if credential is None:
        return {"type": "noauth"}
    return {
        "type": "bearer",
        "bearer": [{"key": "token", "value": f"{{{{{credential}}}}}", "type": "string"}],
    }


def _url(entry: Documented, step: Step) -> str:
    path = entry.path
    for name in entry.path_types:
        value = step.path.get(name) or PATH_VALUES.get(name) or f"{{{{{name}}}}}"
        path = path.replace(f"{{{name}}}", value)
    query = "&".join(f"{name}={quote(value, safe='{}')}" for name, value in step.query.items())
    return f"{{{{base_url}}}}{API_PREFIX}{path}{'?' if query else ''}{query}"


def _assertions(entry: Documented, step: Step) -> list[str]:
    statuses = list(step.expect) or entry.good_statuses
    lines = [
        f"pm.test('answers {' or '.join(map(str, statuses))}', () => {{",
        f"  pm.expect(pm.response.code).to.be.oneOf({statuses});",
        "});",
    ]
    if step.keep:
        lines.append("const answer = pm.response.json();")
        lines.extend(
            f"pm.collectionVariables.set('{variable}', {source});"
            for variable, source in step.keep.items()
        )
    return lines


def _event(kind: str, lines: list[str]) -> Document:
    return {"listen": kind, "script": {"type": "text/javascript", "exec": lines}}
