"""A caller with as little work of its own as there can be, so that the server is what is measured.

`http.client` and its parser of headers take a twentieth of the time of a promotion by themselves.
"""

import json
import re
import socket
import time
from collections.abc import Mapping

IDLE_SECONDS = 3
"""The server closes connections that were idle for a little longer."""
TIMEOUT_SECONDS = 60
RECEIVE_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Caller:
    """One caller with one kept connection."""

    def __init__(self, port: int, credential: str) -> None:
        self._port = port
        self._head = (
            "Host: localhost\r\n"
            f"Authorization: Bearer {credential}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._connection: socket.socket | None = None
        self._used_at = 0.0

    def post(self, path: str, body: Mapping[str, object], *, status: int) -> dict[str, object]:
        """Send a body below the base path and return the document of an answer with `status`."""
        data = json.dumps(body).encode()
        head = f"POST /api/v1{path} HTTP/1.1\r\n{self._head}Content-Length: {len(data)}\r\n\r\n"
        connection = self._connected()
        connection.sendall(head.encode() + data)
        answer = connection.recv(RECEIVE_BYTES)
        while _HEAD_END not in answer or len(answer) < _whole(answer):
            more = connection.recv(RECEIVE_BYTES)
            if not more:
                raise ConnectionError(f"the answer was cut off: {answer!r}")
            answer += more
        self._used_at = time.monotonic()
        if int(answer[9:12]) != status:
            raise AssertionError(f"not {status}: {answer!r}")
        document: dict[str, object] = json.loads(answer.partition(_HEAD_END)[2])
        return document

    def _connected(self) -> socket.socket:
        is_fresh = time.monotonic() - self._used_at < IDLE_SECONDS
        if self._connection is None or not is_fresh:
            if self._connection is not None:
                self._connection.close()
            address = ("127.0.0.1", self._port)
            self._connection = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
        return self._connection


def _whole(answer: bytes) -> int:
    """Return how long an answer with a complete head is, to its end."""
    end = answer.index(_HEAD_END) + len(_HEAD_END)
    found = _LENGTH.search(answer, 0, end)
    if found is None:
        raise ConnectionError(f"no Content-Length: {answer!r}")
    return end + int(found[1])
