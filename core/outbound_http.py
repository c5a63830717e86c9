"""The one HTTP client for calls to addresses that other people chose.

No redirects, no proxies of the environment, no cookies, no decompression; the answer is read to a
small limit, and the whole call ends in time however slowly the other side drips its bytes.
"""

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.response import HTTPResponse

from core.clock import monotonic
from core.outbound import Address, Endpoint, Failure, Guard, OutboundError, host_name

MAX_URL = 2_000  # also in the pattern below
PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,2000}")
_SHAPE = re.compile(r"(?P<scheme>(?i:https?))://(?P<authority>[^/?#\\]+)(?P<target>([/?][^#\\]*)?)")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@\[\]]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Destination:
    """An address of the web, taken apart; `host` is in lower case, an address without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def name(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def endpoint(self) -> Endpoint:
        """Where the connection goes."""
        return Endpoint(self.host, self.port)


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """How long a call may take and how much of the answer is read."""

    connect_seconds: float = 5.0
    total_seconds: float = 10.0
    answer_bytes: int = 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the other side said: status, the beginning of the body, when to come back."""

    status: int
    body: bytes
    retry_after: str | None


LIMITS = CallLimits()


def destination(url: str) -> Destination:
    """Take an address of the web apart.

    Raises:
        ValueError: it is not an http or https address without a user, a password and a fragment.
        OutboundError: its host is spelled in a way that is refused.
    """
    shape = _SHAPE.fullmatch(url) if _PRINTABLE.fullmatch(url) else None
    authority = _AUTHORITY.fullmatch(shape["authority"]) if shape else None
    if shape is None or authority is None:
        raise ValueError("must be an http or https address without user, password and fragment")
    scheme = shape["scheme"].lower()
    port = int(authority["port"] or PORTS[scheme])
    if not 1 <= port <= 65535:
        raise ValueError("the port must be between 1 and 65535")
    target = shape["target"]
    return Destination(
        scheme=scheme,
        host=host_name(authority["host"]),
        port=port,
        target=target if target.startswith("/") else f"/{target}",
    )


def post(
    *, guard: Guard, url: str, headers: Mapping[str, str], body: bytes, limits: CallLimits = LIMITS
) -> Answer:
    """Send a POST to a checked address of the host and return the beginning of the answer.

    Raises:
        ValueError: the address is none.
        OutboundError: the host is refused, or no answer came.
    """
    place = destination(url)
    ends_at = monotonic() + limits.total_seconds
    error = OutboundError(Failure.TIMED_OUT)
    for address in guard.addresses(place.host, place.port):
        left = ends_at - monotonic()
        if left <= 0:
            break
        call = _Call(place, address, min(left, limits.connect_seconds), left)
        try:
            return call.post({**headers, "Host": place.name}, body, limits.answer_bytes)
        except OutboundError as failed:
            error = failed
            if call.is_connected:  # the other side may have taken it already
                break
    raise error


class _Plain(HTTPConnection):
    """A connection that tells its call of the socket before anything is said on it."""

    call: "_Call"

    def _new_conn(self) -> socket.socket:
        opened = self.call.watch(super()._new_conn())
        self.timeout = self.call.total_seconds  # until here it was that of connecting
        return opened


class _Secure(HTTPSConnection):
    """Like `_Plain`, so that the call also ends in time when the handshake drips."""

    call: "_Call"

    def _new_conn(self) -> socket.socket:
        opened = self.call.watch(super()._new_conn())
        self.timeout = self.call.total_seconds  # until here it was that of connecting
        return opened


class _Call:
    """One exchange with one checked address.

    The connection is given the address and never the name, so that nothing is looked up again;
    the name is what the certificate must be for.
    """

    def __init__(
        self, place: Destination, address: Address, connect_seconds: float, total_seconds: float
    ) -> None:
        self.is_connected = False
        self._place = place
        self._address = str(address)
        self._connect_seconds = connect_seconds
        self.total_seconds = total_seconds
        self._socket: socket.socket | None = None
        self._is_late = False

    def post(self, headers: Mapping[str, str], body: bytes, answer_bytes: int) -> Answer:
        with self._in_time():
            connection = self._connection()
            try:
                return self._exchange(connection, headers, body, answer_bytes)
            except (HTTPError, http.client.HTTPException, OSError) as error:
                raise OutboundError(self._failure(error)) from error
            finally:
                connection.close()

    def watch(self, opened: socket.socket) -> socket.socket:
        """Keep a second handle of the socket, by which it can be ended from outside."""
        self.is_connected = True
        self._socket = opened.dup()
        return opened

    def _connection(self) -> _Plain | _Secure:
        connection: _Plain | _Secure
        if self._place.scheme == "https":
            connection = _Secure(
                self._address,
                self._place.port,
                timeout=self._connect_seconds,
                server_hostname=self._place.host,
            )
        else:
            connection = _Plain(self._address, self._place.port, timeout=self._connect_seconds)
        connection.call = self
        return connection

    def _exchange(
        self,
        connection: _Plain | _Secure,
        headers: Mapping[str, str],
        body: bytes,
        answer_bytes: int,
    ) -> Answer:
        connection.request(
            "POST",
            self._place.target,
            body=body,
            headers=headers,
            preload_content=False,
            decode_content=False,
        )
        with closing(connection.getresponse()) as answer:
            if self._is_late:  # cut headers pass for complete ones
                raise OutboundError(Failure.TIMED_OUT)
            return Answer(
                status=answer.status,
                body=_beginning(answer, answer_bytes),
                retry_after=answer.headers.get("Retry-After"),
            )

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, NewConnectionError):  # urllib3 calls it a kind of timeout
            return Failure.CONNECT_FAILED
        if self._is_late or isinstance(error, TimeoutError | ConnectTimeoutError):
            return Failure.TIMED_OUT
        if isinstance(error, ssl.SSLError):
            return Failure.TLS_FAILED
        return Failure.INVALID_ANSWER if self.is_connected else Failure.CONNECT_FAILED

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        timer = threading.Timer(self.total_seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if self._socket is not None:
                self._socket.close()

    def _end(self) -> None:
        self._is_late = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._socket.close()


def _beginning(answer: HTTPResponse, size: int) -> bytes:
    try:
        return answer.read(size)
    except (HTTPError, http.client.HTTPException, OSError):
        return b""  # the status is what counts
