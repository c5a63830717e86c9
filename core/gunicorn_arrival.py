"""Threads work; waiting for slow clients is the poller's: none of them holds a thread for long.

gunicorn gives a connection to a thread as soon as something arrives on it. Eight clients that send
half a request and fall silent then stop everybody else.
"""

import array
import errno
import fcntl
import os
import re
import socket
import termios
from enum import StrEnum
from typing import Any

from core.clock import monotonic

LONGEST_HEAD_BYTES = 128 * 1024
READ_BYTES = 8 * 1024
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

    def __init__(
        self, sock: socket.socket, unreader: Any, *, seconds: float, small_body_bytes: int
    ) -> None:
        """Look after a connection.

        Args:
            sock: the connection.
            unreader: what gunicorn parses from; the head is read into it. Any: gunicorn's.
            seconds: how long a client may take to send what one waits for.
            small_body_bytes: a body up to this length is waited for too, a longer one is read
                as it comes.
        """
        self._socket = sock
        self._unreader = unreader
        self._seconds = seconds
        self._small_body_bytes = small_body_bytes
        self._deadline: float | None = None
        self._seen = 0
        self._wakes_late = False
        self.ready = 0
        """How many bytes of the body can be read at once, when the request is complete."""

    def look(self) -> Arrival:
        """Tell how far it is; when PARTIAL the poller will wake when there is more."""
        held: bytes = self._unreader.buf.getvalue()
        if _HEAD_END not in held:
            try:
                data = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return self._wait_for(1, len(held))
            except OSError:
                return self._done()  # gunicorn finds the same, and closes
            if not data:
                return self._done()
            self._unreader.buf.seek(0, os.SEEK_END)
            self._unreader.buf.write(data)
            held += data
        return self._look_at(held)

    def _look_at(self, held: bytes) -> Arrival:
        end = held.find(_HEAD_END)
        if end < 0:
            too_long = len(held) >= LONGEST_HEAD_BYTES
            return self._done() if too_long else self._wait_for(1, len(held))
        head = held[: end + len(_HEAD_END)]
        length = _LENGTH.search(head)
        if length is None or _ASKS_FIRST.search(head):
            return self._done()
        body_bytes = int(length[1])
        left = body_bytes - (len(held) - len(head))
        if left <= 0 or body_bytes > self._small_body_bytes:
            return self._done()
        present = _readable_bytes(self._socket)
        if present >= left:
            return self._done(ready=left)
        return self._wait_for(left, len(held) + present)

    def _wait_for(self, missing: int, present: int) -> Arrival:
        now = monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        elif present <= self._seen:
            return self._done()  # woken for nothing: the other side has closed
        if now >= self._deadline:
            return Arrival.LATE
        self._seen = present
        if missing > 1:
            self._wakes_late = True
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, missing)
        return Arrival.PARTIAL

    def _done(self, *, ready: int = 0) -> Arrival:
        self.ready = ready
        self._deadline, self._seen = None, 0
        if self._wakes_late:
            self._wakes_late = False
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        return Arrival.COMPLETE


def _readable_bytes(sock: socket.socket) -> int:
    return _count_of(sock, termios.FIONREAD)


def untaken_bytes(sock: socket.socket) -> int:
    """Return how much of what was sent the client's side has not taken."""
    return _count_of(sock, termios.TIOCOUTQ)


def _count_of(sock: socket.socket, queue: int) -> int:
    found = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), queue, found)
    return found[0]


def _too_slow() -> TimeoutError:
    """Return what gunicorn takes like a lost connection: closed, without a line about an error."""
    return TimeoutError(errno.ECONNRESET, "the client sends too slowly")


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
        self.begin(ready=0)

    def begin(self, *, ready: int) -> None:
        """Count anew, for the next request, of which `ready` bytes need no waiting."""
        self._started = monotonic()
        self._received = 0
        self._ready = ready

    def recv(self, size: int) -> bytes:
        """Return what comes next.

        Raises:
            TimeoutError: nothing came, or too little.
        """
        if self._ready > 0:
            data: bytes = self._socket.recv(min(size, self._ready))
            self._ready -= len(data)
            return data
        earned = self._seconds + self._received / self._bytes_per_second
        left = self._started + earned - monotonic()
        if left <= 0:
            raise _too_slow()
        for_answers = self._socket.gettimeout()
        self._socket.settimeout(min(left, self._seconds))
        try:
            data = self._socket.recv(size)
        except TimeoutError as error:
            raise _too_slow() from error
        finally:
            self._socket.settimeout(for_answers)
        self._received += len(data)
        return data

    def __getattr__(self, name: str) -> Any:  # Any: whatever else gunicorn wants of a socket
        return getattr(self._socket, name)
