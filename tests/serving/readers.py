"""Visitors who read without pause and notice every answer that should not have been."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.serving.trees import Files

TIMEOUT_SECONDS = 10


@dataclass
class Observations:
    """What all readers saw together."""

    releases: Mapping[str, Files]
    """Short digest -> the files that an answer with this `X-Release` may carry."""
    good: int = 0
    not_found: int = 0
    server_errors: int = 0
    short: int = 0
    mixed: int = 0
    seen: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bad(self) -> int:
        return self.not_found + self.server_errors + self.short + self.mixed

    def note(self, path: str, status: int, release: str, body: bytes) -> None:
        """Judge one complete answer."""
        with self.lock:
            self.seen.add(release)
            if status == 404:
                self.not_found += 1
            elif status != 200:
                self.server_errors += 1
            elif body != self.releases[release][path]:
                self.mixed += 1
            else:
                self.good += 1


@contextmanager
def reading(
    port: int, releases: Mapping[str, Files], paths: list[str], *, readers: int = 4
) -> Iterator[Observations]:
    """Read `paths` in turn from many threads until the block ends."""
    observations = Observations(releases)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_read, args=(port, paths, observations, stop))
        for _ in range(readers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield observations
    finally:
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)


def _read(port: int, paths: list[str], observations: Observations, stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    while not stop.is_set():
        for path in paths:
            try:
                connection.request("GET", f"/{path}", headers={"Host": "web.localhost"})
                response = connection.getresponse()
                body = response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                with observations.lock:
                    observations.short += 1
                continue
            release = response.headers.get("X-Release", "")
            observations.note(path, response.status, release, body)
    connection.close()
