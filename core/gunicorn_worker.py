"""The worker of the API: gunicorn's own, with honest ends of connections and errors in our form.

Parsing stays gunicorn's. What it refuses by itself never reaches the application, so the problem
document is written here.
"""

import json
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http.errors import ParseException

from core.errors import ErrorCode
from core.gunicorn_patience import PatientWorker, announces_body, patience
from core.logs import new_request_id, set_request_id
from core.problem_texts import PROBLEM_TEXTS

logger = logging.getLogger(__name__)

# After the answer gunicorn reads on to the end of the body, up to 64 KiB, to keep the connection.
READ_ON_BYTES = 64 * 1024
SHORT_ANSWER_BYTES = 32 * 1024

Environ = dict[str, Any]  # Any: whatever WSGI and gunicorn put there
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class RequestBody:
    """The body as the application reads it; knows how much of it is left.

    A body that is cut off or wrongly framed is an OSError, as with other servers.
    """

    def __init__(self, request: Any) -> None:  # Any: gunicorn is untyped, here and below
        self.request = request
        headers = dict(request.headers)
        self._inner = request.body
        self._is_chunked = "TRANSFER-ENCODING" in headers
        self._left = int(headers.get("CONTENT-LENGTH", 0))
        self._has_ended = False

    @property
    def failed(self) -> bool:
        """Where the next request begins is unknown; gunicorn asks for this too."""
        return bool(self._inner.failed)

    @property
    def is_used_up(self) -> bool:
        """Whether the connection can take another request: nothing or little is left to read."""
        if self._is_chunked:
            return self._has_ended and not self.failed
        return self._left < READ_ON_BYTES and not self.failed

    def read(self, size: int | None = None) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        wanted = None if size is None or size < 0 else size
        data = self._take(self._inner.read, wanted)
        self._has_ended = wanted is None or len(data) < wanted
        return data

    def readline(self, size: int | None = None) -> bytes:
        """Return the next line, or b"" at the end."""
        data = self._take(self._inner.readline, size)
        self._has_ended = not data and size != 0
        return data

    def readlines(self, _hint: int | None = None) -> list[bytes]:
        """Return all lines that are left."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _take(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        try:
            data = read(size)
        except ParseException as error:
            raise OSError("the body is not framed as announced") from error
        self._left -= len(data)
        return data


class AnswerSocket(socket.socket):
    """Sends the head of an answer and the body that follows at once in one go."""

    keeps_head = False
    """Whether what is sent next is a head, and what comes after it its whole body."""
    _head = b""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of `data`, after the head that was kept for it. Any: what sockets send."""
        if self.keeps_head:
            self.keeps_head, self._head = False, data
            return
        if self._head:
            data, self._head = self._head + data, b""
        super().sendall(data, flags)

    def end(self) -> None:
        """Send what is still kept: the answer was a head alone."""
        if self._head:
            self.sendall(b"")

    def forget(self) -> None:
        """Drop what is kept: what is sent next belongs to another answer."""
        self.keeps_head, self._head = False, b""


class ApiWorker(PatientWorker):
    """Threads that close a connection they will not read on, and say so."""

    wsgi: Any  # the application; gunicorn calls it
    _application: WsgiApplication
    _public_url = ""

    def load_wsgi(self) -> None:
        """Load the application, and put our watch over bodies before it."""
        super().load_wsgi()
        self._application = self.wsgi
        self._public_url = self.wsgi.extensions["relevo.settings"].public_url
        self.wsgi = self._answer

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer one request."""
        if announces_body(req):
            req.body = RequestBody(req)
        try:
            is_kept = bool(super().handle_request(req, conn))
            conn.sock.end()
        except (TimeoutError, BlockingIOError):
            logger.info("a client did not take its answer")
            return False
        finally:
            conn.sock.forget()
        return is_kept

    def _welcome(self, conn: Any) -> None:
        conn.sock = AnswerSocket(fileno=conn.sock.detach())
        super()._welcome(conn)
        # Short answers are sent without looking whether they fit; none of them waits for ever.
        whole, part = divmod(patience.seconds, 1)
        limit = struct.pack("ll", int(whole), int(part * 1_000_000))
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Let gunicorn find status and log line of what it refuses; the answer is ours."""
        request_id = new_request_id()
        set_request_id(request_id)
        try:
            taken = _TakenAnswer()
            super().handle_error(req, taken, addr, exc)
            with suppress(OSError):
                util.write_nonblock(client, self._problem(taken.status, request_id))
        finally:
            set_request_id(None)

    def _answer(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if not _is_short(headers):  # each piece must be taken in time
                environ["gunicorn.socket"].settimeout(patience.seconds)
            return start_response(status, headers, exc_info)

        answer = self._application(environ, start)
        body = environ["wsgi.input"]
        if isinstance(body, RequestBody) and not body.is_used_up:
            body.request.force_close()
        if isinstance(answer, list) and len(answer) == 1 and len(answer[0]) <= SHORT_ANSWER_BYTES:
            environ["gunicorn.socket"].keeps_head = True
        return answer

    def _problem(self, status: HTTPStatus, request_id: str) -> bytes:
        failed = status is HTTPStatus.INTERNAL_SERVER_ERROR
        code = ErrorCode.INTERNAL_ERROR if failed else ErrorCode.BAD_REQUEST
        document = {
            "type": f"{self._public_url}/problems/{code}",
            "title": PROBLEM_TEXTS[code].title,
            "status": status,
            "detail": f"The web server could not take this request: {status.phrase}.",
            "code": code,
            "request_id": request_id,
        }
        content = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} {status.phrase}",
            "Connection: close",
            "Content-Type: application/problem+json",
            f"Content-Length: {len(content)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            f"X-Request-ID: {request_id}",
        )
        return "\r\n".join((*head, "", "")).encode() + content


def _is_short(headers: list[tuple[str, str]]) -> bool:
    """Tell whether an answer fits into the buffers on the way, so that nobody waits for it."""
    length = next((value for name, value in headers if name == "Content-Length"), None)
    return length is not None and int(length) <= SHORT_ANSWER_BYTES


class _TakenAnswer:
    """Stands where gunicorn writes its HTML page, and keeps the status."""

    status = HTTPStatus.BAD_REQUEST

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.status = HTTPStatus(int(data.split(b" ", 2)[1]))
