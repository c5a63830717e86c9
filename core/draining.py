"""Is this process about to end: what keeps a connection open must then let it go."""

from typing import Protocol


class Server(Protocol):
    """What is used of gunicorn's worker."""

    alive: bool


_server: Server | None = None


def watch(server: Server) -> None:
    """Remember the worker that serves this process."""
    global _server
    _server = server


def is_draining() -> bool:
    """Tell whether the worker was told to end and only finishes what it has begun."""
    return _server is not None and not _server.alive
