"""Answers as values, and the one place that hands them to the WSGI server."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from serving.caching import REVALIDATE
from serving.conditions import Part
from serving.trees import OpenFile
from storage.errors import DamagedReleaseError

CHUNK_BYTES = 256 * 1024
MAX_BYTES_IN_MEMORY = 64 * 1024

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class FileBody:
    """A stretch of an open file; whoever holds the answer must close the file."""

    file: OpenFile
    part: Part

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __iter__(self) -> Iterator[bytes]:
        left = self.part.length
        while left > 0:
            chunk = self.file.read(min(left, CHUNK_BYTES))
            if not chunk:
                # Nothing but an abort tells the client that bytes are missing.
                raise DamagedReleaseError("A file became shorter while it was sent.")
            left -= len(chunk)
            yield chunk


@dataclass(slots=True)
class Answer:
    """Status, headers and body of one response; Content-Length is added when it is sent."""

    status: HTTPStatus
    headers: Headers = field(default_factory=list)
    body: bytes | FileBody = b""

    @property
    def size_bytes(self) -> int:
        """Length of the body, whether or not the method lets it be sent."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.part.length


def plain_answer(status: HTTPStatus, *headers: tuple[str, str]) -> Answer:
    """Say the status in plain text: what a visitor gets when the site has no page for it."""
    text = f"{status.value} {status.phrase}\n"
    general = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", REVALIDATE)]
    return Answer(status, [*general, *headers], text.encode())


def file_body(file: OpenFile, part: Part) -> bytes | FileBody:
    """Return what to send of an open file: small parts are read at once and the file closed.

    Raises:
        DamagedReleaseError: the file is shorter than it was said to be.
    """
    file.seek(part.start)
    if part.length > MAX_BYTES_IN_MEMORY:
        return FileBody(file, part)
    try:
        data = file.read(part.length)
    finally:
        file.close()
    if len(data) != part.length:
        raise DamagedReleaseError("A file is shorter than its manifest says.")
    return data


def send(
    answer: Answer,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    on_sent: Callable[[int], None],
) -> Iterable[bytes]:
    """Start the response and return its body.

    Args:
        on_sent: called with the size of the body when the last byte has left, or the client.
    """
    has_body = answer.status is not HTTPStatus.NOT_MODIFIED
    headers = list(answer.headers)
    if has_body:
        headers.append(("Content-Length", str(answer.size_bytes)))
    start_response(f"{answer.status.value} {answer.status.phrase}", headers)
    if isinstance(answer.body, FileBody):
        return _send_file(answer.body, environ, on_sent)
    body = answer.body if has_body and environ["REQUEST_METHOD"] != "HEAD" else b""
    on_sent(len(body))
    return [body]


def _send_file(
    body: FileBody, environ: WSGIEnvironment, on_sent: Callable[[int], None]
) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "HEAD":
        body.close()
        on_sent(0)
        return [b""]
    body.file.call_when_closed(lambda: on_sent(body.part.length))
    reaches_end = body.part.start + body.part.length == body.file.size_bytes
    wrapper = environ.get("wsgi.file_wrapper")
    # A wrapper sends until the end of the file (gunicorn by sendfile), so it suits no other part.
    if wrapper is not None and reaches_end:
        wrapped: Iterable[bytes] = wrapper(body.file, CHUNK_BYTES)
        return wrapped
    return body
