"""Threads work; waiting for slow clients is the poller's: none of them holds a thread for long.

gunicorn gives a connection to a thread as soon as something arrives on it. Eight clients that send
half a request and fall silent then stop everybody else.
"""

import array
import fcntl
import re
import socket
import termios
from enum import StrEnum
from typing import Any

from core.clock import monotonic

LONGEST_HEAD_BYTES = 128 * 1024
PEEK_BYTES = 4 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)
_ASKS_FIRST = re.compile(rb"\r\nexpect:", re.IGNORECASE)


class Arrival(StrEnum):
    """How much of a request is there."""

    COMPLETE = "complete"
    """The whole of it, or all that one waits for; or nothing more will come."""
    PARTIAL = "partial"
    LATE = "late"
    """The client has had its time."""


class Arriving:
    """What has come so far of the next request on a connection."""

    def __init__(self, sock: socket.socket, *, seconds: float, small_body_bytes: int) -> None:
        """Look at a connection.

        Args:
            sock: the connection; bytes are looked at and stay there.
            seconds: how long a client may take to send what one waits for.
            small_body_bytes: a body up to this length is waited for too, a longer one is read
                as it comes.
        """
        self._socket = sock
        self._seconds = seconds
        self._small_body_bytes = small_body_bytes
        self._deadline: float | None = None
        self._seen = 0

    def look(self) -> Arrival:
        """Tell how far it is; when PARTIAL the poller will wake when there is more."""
        try:
            head = self._socket.recv(PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if len(head) == PEEK_BYTES and _HEAD_END not in head:
                flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
                head = self._socket.recv(LONGEST_HEAD_BYTES, flags)
        except BlockingIOError:
            head = b""
        except OSError:
            return self._done()  # gunicorn finds the same, and closes
        else:
            if not head:
                return self._done()
        missing = self._missing(head)
        return self._done() if not missing else self._wait_for(missing)

    def _missing(self, head: bytes) -> int:
        """Return how many bytes there must be before a thread is worth it; 0 when they are."""
        end = head.find(_HEAD_END)
        if end < 0:
            return 0 if len(head) >= LONGEST_HEAD_BYTES else len(head) + 1
        start = head[: end + len(_HEAD_END)]
        length = _LENGTH.search(start)
        if length is None or _ASKS_FIRST.search(start):
            return 0
        body_bytes = int(length[1])
        wanted = len(start) + body_bytes
        if body_bytes > self._small_body_bytes or len(head) >= wanted:
            return 0
        return 0 if _readable_bytes(self._socket) >= wanted else wanted

    def _wait_for(self, wanted: int) -> Arrival:
        now = monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        present = _readable_bytes(self._socket)
        if self._seen and present <= self._seen:
            return self._done()  # woken for nothing: the other side has closed
        if now >= self._deadline:
            return Arrival.LATE
        self._seen = present
        # The poller wakes only for so many bytes; a head has one more at a time.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        return Arrival.PARTIAL

    def _done(self) -> Arrival:
        if self._deadline is not None:
            self._deadline, self._seen = None, 0
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        return Arrival.COMPLETE


def _readable_bytes(sock: socket.socket) -> int:
    found = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, found)
    return found[0]


class PacedSocket:
    """The socket from which a body is read: it must keep coming, or it is broken off."""

    def __init__(self, sock: Any, *, seconds: float, bytes_per_second: int) -> None:
        """Read from `sock`.

        Args:
            sock: the connection.
            seconds: how long a client may be silent, and how long it may lag behind.
            bytes_per_second: what it must send on average after that.
        """
        self._socket = sock
        self._seconds = seconds
        self._bytes_per_second = bytes_per_second
        self.begin()

    def begin(self) -> None:
        """Count anew, for the next request."""
        self._started = monotonic()
        self._received = 0

    def recv(self, size: int) -> bytes:
        """Return what comes next.

        Raises:
            TimeoutError: nothing came, or too little.
        """
        earned = self._seconds + self._received / self._bytes_per_second
        left = self._started + earned - monotonic()
        if left <= 0:
            raise TimeoutError("the client sends too slowly")
        for_answers = self._socket.gettimeout()
        self._socket.settimeout(min(left, self._seconds))
        try:
            data: bytes = self._socket.recv(size)
        finally:
            self._socket.settimeout(for_answers)
        self._received += len(data)
        return data

    def __getattr__(self, name: str) -> Any:  # Any: whatever else gunicorn wants of a socket
        return getattr(self._socket, name)
