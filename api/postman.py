"""A Postman collection (2.1) that runs: it signs in, makes, reads, changes and removes.

Every request asserts its status. Requests run in an order in which each finds what it needs:
sign-in first, then what makes things, reads, changes, and at the end what removes them.
"""

from typing import Any

from flask_restx import Api

from api.catalog import Document
from api.documented import Documented, documented_operations
from api.postman_examples import PATH_VARIABLES, example_body
from api.routing import API_PREFIX
from api.security import Auth

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
LOGIN_PATH = "/auth/login"
ENDS_SESSION = ("/auth/logout", "/auth/logout-all", "/auth/refresh")
METHOD_ORDER = {"post": 0, "get": 1, "put": 2, "patch": 3, "delete": 4}


def postman_collection(api: Api, *, server_url: str) -> Document:
    """Write the collection; `username` and `password` are variables to fill in."""
    operations = sorted(documented_operations(api), key=_position)
    variables = {"base_url": server_url, "username": "admin", "password": "", "token": ""}
    return {
        "info": {"name": "Relevo", "schema": SCHEMA, "description": __doc__},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]},
        "variable": [
            {"key": key, "value": value} for key, value in {**variables, **PATH_VARIABLES}.items()
        ],
        "item": [_item(entry) for entry in operations],
    }


def _position(entry: Documented) -> tuple[int, int, str, int]:
    if entry.path == LOGIN_PATH:
        return (0, 0, "", 0)
    removes = entry.method == "delete"
    depth = entry.path.count("/")
    stage = 3 if entry.path in ENDS_SESSION else 2 if removes else 1
    return (stage, -depth if removes else depth, entry.path, METHOD_ORDER[entry.method])


def _item(entry: Documented) -> Document:
    item: Document = {
        "name": f"{entry.operation.summary} ({entry.operation_id})",
        "request": _request(entry),
        "event": [_event("test", _assertions(entry))],
    }
    return item


def _request(entry: Documented) -> Document:
    headers = [{"key": "Accept", "value": "application/json"}]
    if entry.operation.needs_match:
        headers.append({"key": "If-Match", "value": "*"})
    if entry.operation.idempotent:
        headers.append({"key": "Idempotency-Key", "value": "{{$guid}}"})
    request: Document = {
        "method": entry.method.upper(),
        "header": headers,
        "url": f"{{{{base_url}}}}{API_PREFIX}{_filled(entry.path)}",
    }
    if entry.operation.auth is Auth.NONE:
        request["auth"] = {"type": "noauth"}
    body = example_body(entry)
    if body is not None:
        request["header"].append({"key": "Content-Type", "value": body.media_type})
        request["body"] = {"mode": "raw", "raw": body.text}
    return request


def _filled(path: str) -> str:
    return path.replace("{", "{{").replace("}", "}}")


def _assertions(entry: Documented) -> list[str]:
    statuses = entry.good_statuses
    lines = [
        "pm.test('answers as documented', () => {",
        f"  pm.expect(pm.response.code).to.be.oneOf({statuses});",
        "});",
    ]
    if entry.path == LOGIN_PATH:
        lines.append("pm.collectionVariables.set('token', pm.response.json().access_token);")
    if entry.method == "post" and entry.operation.schema_for(entry.operation.status) is not None:
        lines.extend(_remember(entry))
    return lines


def _remember(entry: Documented) -> list[str]:
    """Keep the name of what was made for the requests that follow."""
    return [
        "const made = pm.response.json();",
        "for (const name of ['slug', 'number', 'id', 'username', 'name']) {",
        "  if (made[name] !== undefined) {",
        f"    pm.collectionVariables.set('made_{entry.tag}_' + name, String(made[name]));",
        "  }",
        "}",
    ]


def _event(kind: str, lines: list[str]) -> Document:
    script: dict[str, Any] = {"type": "text/javascript", "exec": lines}
    return {"listen": kind, "script": script}
