"""The real program under gunicorn: production settings, two workers of four threads."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.people import ENVIRONMENT, PASSWORD, People, make_people

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 30
STOP_SECONDS = 15
CALL_SECONDS = 30


@dataclass(frozen=True)
class Served:
    """A running server and the installation behind it."""

    url: str
    people: People
    log: Path

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **headers: str
    ) -> requests.Response:
        """Call a path below the base path; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return requests.request(
            method, f"{self.url}/api/v1{path}", json=body, headers=sent, timeout=CALL_SECONDS
        )

    def log_in(self, username: str, password: str = PASSWORD) -> dict[str, str]:
        """Sign in over HTTP and return the pair of tokens."""
        answer = self.call("POST", "/auth/login", {"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        pair: dict[str, str] = answer.json()
        return pair


@contextmanager
def serve(data_dir: Path, **environment: str) -> Iterator[Served]:
    """Run `wsgi:app` under gunicorn on a fresh installation until the block ends."""
    with serve_people(make_people(data_dir, **environment), data_dir, **environment) as running:
        yield running


@contextmanager
def serve_people(people: People, data_dir: Path, **environment: str) -> Iterator[Served]:
    """Run `wsgi:app` on an installation that is there, perhaps as one more node of it."""
    data_dir.mkdir(exist_ok=True)
    settings = people.app.extensions["relevo.settings"]
    log = data_dir / "gunicorn.log"
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        arguments = ["--config", "deploy/gunicorn/web.py", "--workers", "2", "--threads", "4"]
        binding = ["--bind", f"fd://{listener.fileno()}", "--keep-alive", "1"]
        place = {"DATA_DIR": str(data_dir), "DATABASE_URL": settings.database_url}
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", *arguments, *binding],
            cwd=REPOSITORY,
            env={"PATH": os.defpath, **ENVIRONMENT, **place, **environment},
            pass_fds=(listener.fileno(),),
            stdout=output,
            stderr=output,
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            _wait_for(url, process, log)
            yield Served(url, people, log)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{url}/healthz", timeout=CALL_SECONDS).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def credentials_in(text: str) -> list[str]:
    """Return whatever looks like a credential."""
    return re.findall(r"rlv_[0-9A-Za-z]{12,}|eyJ[\w-]{8,}\.[\w-]{8,}", text)
