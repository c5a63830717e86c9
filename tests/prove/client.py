"""Calls of the API over one kept connection."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

TIMEOUT_SECONDS = 120
IDLE_SECONDS = 3
"""The server closes connections that were idle for a little longer."""
Document = dict[str, object]


@dataclass(frozen=True)
class Answer:
    """A complete answer; `document` is empty where the body is no JSON object."""

    status: int
    headers: Mapping[str, str]
    document: Document

    @property
    def code(self) -> str:
        """The code of a problem, or nothing."""
        return str(self.document.get("code", ""))

    def expect(self, *statuses: int) -> Document:
        """Return the document if the status is one of those expected."""
        if self.status not in statuses:
            raise AssertionError(f"{self.status} instead of {statuses}: {self.document}")
        return self.document

    def number(self, name: str) -> int:
        """Return a field that is a number."""
        value = self.document[name]
        assert isinstance(value, int)
        return value


class Client:
    """One caller with one connection; not to be shared by threads."""

    def __init__(self, port: int, credential: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._credential = credential
        self._used_at = 0.0

    @property
    def credential(self) -> str:
        """What this client signs in with."""
        return self._credential

    def get(self, path: str, **query: object) -> Answer:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.call("POST", path, body={} if body is None else body, headers=headers)

    def patch(self, path: str, body: object) -> Answer:
        return self.call("PATCH", path, body=body, headers={"If-Match": "*"})

    def delete(self, path: str, **query: object) -> Answer:
        return self.call("DELETE", path, query=query)

    def upload(self, slug: str, archive: bytes, **query: object) -> Answer:
        """Upload an archive as a release."""
        path = f"/api/v1/sites/{slug}/releases{_encoded(query)}"
        return self.send("POST", path, archive, {"Content-Type": "application/octet-stream"})

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call a path below the base path; header names may be written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.send(method, f"/api/v1{path}{_encoded(query or {})}", data, sent)

    def send(
        self,
        method: str,
        target: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        host: str = "localhost",
    ) -> Answer:
        """Send one request; a lost connection is an OSError and is opened anew next time."""
        sent = {"Host": host, **(headers or {})}
        if self._credential:
            sent["Authorization"] = f"Bearer {self._credential}"
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()
        try:
            self._connection.request(method, target, data, sent)
            response = self._connection.getresponse()
            raw = response.read()
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise ConnectionError(str(error)) from error
        self._used_at = time.monotonic()
        return Answer(response.status, dict(response.headers), _document(response, raw))

    def close(self) -> None:
        self._connection.close()

    def __del__(self) -> None:
        # Many callers are made for one call and dropped; a socket left open would be a warning.
        self._connection.close()


def _document(response: http.client.HTTPResponse, raw: bytes) -> Document:
    if "json" not in response.headers.get("Content-Type", ""):
        return {}
    document = json.loads(raw)
    return document if isinstance(document, dict) else {}


def _encoded(query: Mapping[str, object]) -> str:
    return f"?{urlencode(query)}" if query else ""
