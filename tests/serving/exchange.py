"""Requests over real sockets, byte for byte as written."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Reply:
    """A complete response; a body shorter than announced raises instead."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def fetch(
    port: int,
    target: str,
    *,
    host: str = "web.localhost",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request with `target` exactly as given, and read the whole answer."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return read_reply(connection, method)


def read_reply(connection: socket.socket, method: str = "GET") -> Reply:
    """Read one answer from a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Reply(response.status, response.headers, response.read())
    finally:
        response.close()
