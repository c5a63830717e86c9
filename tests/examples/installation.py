"""A server as an operator starts one: keys, tables, setup, gunicorn."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from core.secrets_file import make_secrets
from tests import engines

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 30


@dataclass
class Installation:
    """A running API and the command on its data."""

    url: str
    data_dir: Path

    def relevo(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = _relevo(self.data_dir, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, *options: str) -> str:
        """Make a token of the administrator."""
        return self.relevo("tokens", "create", "admin", "--name", "ci", *options).strip()

    def make_site(self, slug: str) -> None:
        """Make a site, as the administrator."""
        self.call("POST", "/sites", {"slug": slug, "name": slug})

    def live(self, environment: str, *, slug: str) -> int | None:
        """Return the number of the release that an environment shows."""
        place = self.call("GET", f"/sites/{slug}/environments/{environment}")
        return int(place["release"]) if place["release"] is not None else None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make a call as the administrator and return the answer; Any because it is JSON."""
        answer = requests.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self._session}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    @cached_property
    def _session(self) -> str:
        password = (self.data_dir / "admin-password").read_text().strip()
        body = {"username": "admin", "password": password}
        answer = requests.post(f"{self.url}/api/v1/auth/login", json=body, timeout=30)
        return str(answer.json()["access_token"])


@contextmanager
def running_installation(data_dir: Path, **environment: str) -> Iterator[Installation]:
    """Make an installation and serve its API until the block ends."""
    make_secrets(data_dir)
    for arguments in (("db", "upgrade"), ("setup",)):
        done = _relevo(data_dir, *arguments)
        assert done.returncode == 0, done.stderr
    log = data_dir / "gunicorn.log"
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        options = ["--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "wsgi:app", *options),
                *("--bind", f"fd://{listener.fileno()}"),
            ],
            cwd=REPOSITORY,
            env={**_environment(data_dir), **environment},
            pass_fds=(listener.fileno(),),
            stdout=output,
            stderr=output,
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        _wait_for(url, process, log)
        yield Installation(url, data_dir)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@contextmanager
def running_worker(data_dir: Path) -> Iterator[None]:
    """Run a worker until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.console", "worker"],
        cwd=REPOSITORY,
        env=_environment(data_dir),
    )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0


def _environment(data_dir: Path) -> dict[str, str]:
    place = {"DATA_DIR": str(data_dir), **engines.settings_of(data_dir)}
    return {"PATH": os.defpath, **place, "LOG_LEVEL": "ERROR"}


def _relevo(data_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli.console", *arguments],
        cwd=REPOSITORY,
        env=_environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
    )


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
