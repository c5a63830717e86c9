"""Readers, an uploader and a promoter who go on through every outage and note all answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.prove import seeds
from tests.prove.agreement import Sent
from tests.prove.client import Answer, Client
from tests.prove.content import digest_of, site_files, zipped
from tests.prove.installation import Installation
from tests.prove.readers import Releases

CONTENTS = 30
READERS = 2
PAUSE_SECONDS = 0.02
"""Refusals come at once; without a pause the load would grow in an outage."""


@dataclass(frozen=True)
class Call:
    """One call: what it was, when, and the answer unless the connection was lost."""

    kind: str
    mark: str
    started: float
    ended: float
    answer: Answer | None

    @property
    def is_fine(self) -> bool:
        return self.answer is not None and self.answer.status < 300

    @property
    def is_unavailable(self) -> bool:
        """Tell whether it is the refusal that an outage of the database should give."""
        if self.answer is None or self.answer.code != "unavailable":
            return False
        return self.answer.status == 503 and int(self.answer.headers.get("Retry-After", 0)) >= 1

    @property
    def sent(self) -> Sent:
        """Return it for comparison with the history; after a 503 its outcome is unknown."""
        return Sent(self.kind, self.mark, None if self.is_unavailable else self.answer)


class Load:
    """Calls without pause, each lane with a connection of its own."""

    def __init__(self, installation: Installation, releases: Releases) -> None:
        self.calls: list[Call] = []
        self._installation = installation
        self._releases = releases
        self._stop = threading.Event()

    @property
    def sent(self) -> list[Sent]:
        """Everything that changes something."""
        return [call.sent for call in self.calls if call.kind != "reading"]

    def acknowledged(self, kind: str) -> int:
        """Count the calls of a kind that succeeded."""
        return sum(call.kind == kind and call.is_fine for call in self.calls)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Call until the block ends."""
        lanes = [self._read] * READERS + [self._upload, self._promote]
        threads = [threading.Thread(target=self._work, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _work(self, lane: Callable[[Client, int], None]) -> None:
        client, turn = self._installation.client(), 0
        while not self._stop.wait(PAUSE_SECONDS):
            lane(client, turn)
            turn += 1

    def _note(self, kind: str, mark: str, call: Callable[[], Answer]) -> None:
        started, answer = time.monotonic(), None
        try:
            answer = call()
        except ConnectionError:
            answer = None
        self.calls.append(Call(kind, mark, started, time.monotonic(), answer))

    def _read(self, client: Client, turn: int) -> None:
        path = ("/sites", "/sites/web", "/sites/web/promotions")[turn % 3]
        self._note("reading", path, partial(client.get, path))

    def _upload(self, client: Client, turn: int) -> None:
        mark, files = f"upload-{turn}", site_files(f"{seeds.seed()} {turn % CONTENTS}")
        self._releases.add(digest_of(files), files)
        self._note("upload", mark, lambda: client.upload("web", zipped(files), message=mark))

    def _promote(self, client: Client, turn: int) -> None:
        mark = f"promotion-{turn}"
        body = {"to": "main", "release": 1 + turn % 2, "allow_older": True, "comment": mark}
        self._note("promotion", mark, lambda: client.post("/sites/web/promotions", body))
