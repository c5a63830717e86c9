"""Visitors who read without pause and judge every answer."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 10
READERS = 4
Judge = Callable[[str, str, bytes], bool]
"""Tells from the header X-Release, the path and the body whether an answer is a whole one."""


@dataclass
class Observations:
    """What all readers saw together.

    A body of another length than announced, or of a length that no release has, is `short`; one
    of the right length with the content of another release is `mixed`. `lost` counts connections
    that ended without an answer.
    """

    answers: int = 0
    not_found: int = 0
    server_errors: int = 0
    short: int = 0
    mixed: int = 0
    lost: int = 0
    seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, status: int, release: str, whole: bool, length_known: bool) -> None:
        """Count one answer."""
        with self._lock:
            self.answers += 1
            self.seen.add(release)
            self.not_found += status == 404
            self.server_errors += status >= 500
            self.short += status == 200 and not whole and not length_known
            self.mixed += status == 200 and not whole and length_known

    def note_cut(self) -> None:
        """Count an answer that ended before its announced length."""
        with self._lock:
            self.answers += 1
            self.short += 1

    def note_lost(self) -> None:
        """Count a connection without an answer."""
        with self._lock:
            self.lost += 1


class Releases:
    """The bodies that an answer may have; more may be added while readers work."""

    def __init__(self) -> None:
        self._bodies: dict[str, Mapping[str, bytes]] = {}

    def add(self, digest: str, files: Mapping[str, bytes]) -> None:
        self._bodies[digest[:16]] = files

    def is_whole(self, release: str, path: str, body: bytes) -> bool:
        return self._bodies.get(release, {}).get(path) == body

    def is_any(self, _release: str, path: str, body: bytes) -> bool:
        """For servers that do not tell the release: the body must be of one of them."""
        return any(files.get(path) == body for files in self._bodies.values())

    def has_length(self, path: str, body: bytes) -> bool:
        lengths = {len(files.get(path, b"")) for files in list(self._bodies.values())}
        return len(body) in lengths


@contextmanager
def reading(
    port: int,
    releases: Releases,
    paths: Sequence[str],
    *,
    host: str,
    tells_release: bool = True,
    pause_seconds: float = 0,
) -> Iterator[Observations]:
    """Read `paths` in turn from READERS threads until the block ends."""
    observations, stop = Observations(), threading.Event()
    judge = releases.is_whole if tells_release else releases.is_any

    def read() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        while not stop.is_set():
            for path in paths:
                _read_once(connection, host, path, observations, releases, judge)
                stop.wait(pause_seconds)
        connection.close()

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield observations
    finally:
        stop.set()
        for thread in threads:
            thread.join(2 * TIMEOUT_SECONDS)


def _read_once(
    connection: http.client.HTTPConnection,
    host: str,
    path: str,
    observations: Observations,
    releases: Releases,
    judge: Judge,
) -> None:
    try:
        connection.request("GET", f"/{path}", headers={"Host": host})
        response = connection.getresponse()
        body = response.read()
    except http.client.IncompleteRead:
        connection.close()
        observations.note_cut()
        return
    except (http.client.HTTPException, OSError):
        connection.close()
        observations.note_lost()
        return
    release = response.headers.get("X-Release", "")
    whole = judge(release, path, body)
    observations.note(response.status, release, whole, releases.has_length(path, body))
