"""People and pipelines at work on one site: what is interrupted by the crashes."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.prove import seeds
from tests.prove.agreement import Sent
from tests.prove.client import Answer, Client
from tests.prove.content import digest_of, site_files, zipped
from tests.prove.installation import Installation
from tests.prove.readers import Releases

SITE = "/sites/web"
FILES = 6
CONTENTS = 30


class Traffic:
    """Three callers at once: one promotes and rolls back, one uploads, one tidies up."""

    def __init__(self, installation: Installation, releases: Releases, purpose: str) -> None:
        self.sent: list[Sent] = []
        self._installation = installation
        self._releases = releases
        self._purpose = purpose
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._count = 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Call without pause until the block ends or the server is gone."""
        lanes = (self._move, self._upload, self._tidy)
        threads = [threading.Thread(target=self._work, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _work(self, lane: Callable[[Client, random.Random], None]) -> None:
        chance = seeds.generator(f"{self._purpose}/{lane.__name__}")
        client = self._installation.client()
        while not self._stop.is_set():
            try:
                lane(client, chance)
            except ConnectionError:
                return

    def _note(self, kind: str, mark: str, call: Callable[[], Answer]) -> Answer:
        """Make a call and keep what became of it, a lost connection too."""
        answer = None
        try:
            answer = call()
        finally:
            with self._lock:
                self.sent.append(Sent(kind, mark, answer))
        return answer

    def _mark(self) -> str:
        with self._lock:
            self._count += 1
            return f"{self._purpose}-{self._count}"

    def _move(self, client: Client, chance: random.Random) -> None:
        mark = self._mark()
        if chance.random() < 0.25:
            body = {"environment": "main", "reason": mark}
            self._note("promotion", mark, lambda: client.post(f"{SITE}/rollback", body))
            return
        order: dict[str, object] = {"to": "main", "comment": mark, "allow_older": True}
        if chance.random() < 0.7:
            order["release"] = chance.choice(self._numbers(client))
        self._note("promotion", mark, lambda: client.post(f"{SITE}/promotions", order))

    def _upload(self, client: Client, chance: random.Random) -> None:
        files = site_files(f"content {chance.randrange(CONTENTS)}", FILES)
        self._releases.add(digest_of(files), files)
        mark = self._mark()
        self._note("upload", mark, lambda: client.upload("web", zipped(files), message=mark))

    def _tidy(self, client: Client, chance: random.Random) -> None:
        kind = chance.choice(("delete", "delete", "prune", "domains", "environment"))
        if kind == "delete":
            number = chance.choice(self._numbers(client))
            target = f"{SITE}/releases/{number}"
            self._note("deletion", f"web/{number}", lambda: client.delete(target))
        elif kind == "prune":
            body = {"keep": 8, "older_than_days": 0}
            self._note("pruning", "web/1", lambda: client.post(f"{SITE}/prune", body))
        elif kind == "domains":
            domains = [f"{name}.example.org" for name in "abc" if chance.random() < 0.5]
            target = f"{SITE}/environments/main"
            self._note("domains", "web/main", lambda: client.patch(target, {"domains": domains}))
        else:
            self._environment(client)

    def _environment(self, client: Client) -> None:
        """Make an environment, show something in it, and delete it again."""
        body = {"name": "stage", "rank": 15, "policy": {"auto": True}}
        target = f"{SITE}/environments"
        self._note("environment", "web/stage", lambda: client.post(target, body))
        mark = self._mark()
        order = {"to": "stage", "from": "test", "comment": mark, "allow_older": True}
        self._note("promotion", mark, lambda: client.post(f"{SITE}/promotions", order))
        self._note("environment", "web/stage", lambda: client.delete(f"{target}/stage"))

    def _numbers(self, client: Client) -> list[int]:
        items = client.get(f"{SITE}/releases", per_page=40).expect(200)["items"]
        assert isinstance(items, list)
        return [item["number"] for item in items if item["state"] == "ready"]
