"""`relevo serve` as an operator starts it: real processes in a session of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from tests import engines

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "cli.console"]
PASSWORD = "a long enough password for the first admin"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def free_port() -> int:
    """Return a port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One installation and the processes that serve it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port, self.sites_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.parent / "serve.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "PYTHONPATH": str(REPOSITORY),
            "DATA_DIR": str(self.data_dir),
            **engines.settings_of(self.data_dir),
            "PORT": str(self.port),
            "SITES_PORT": str(self.sites_port),
            "ADMIN_PASSWORD": PASSWORD,
            "SHUTDOWN_SECONDS": "15",
        }

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        return subprocess.run(
            [*PROGRAM, *arguments],
            env={**self.environment, **environment},
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(
        self, *, command: Sequence[str] = (*PROGRAM, "serve"), cwd: Path | None = None
    ) -> psutil.Process:
        """Start the server and wait until it is ready; returns the process that was started."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=cwd or self.data_dir.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()
        return psutil.Process(self.process.pid)

    def members(self) -> list[psutil.Process]:
        """Return the living processes of the server's group."""
        assert self.process is not None
        found = []
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and os.getpgid(process.pid) == self.process.pid:
                    found.append(process)
        return found

    def wait_until_gone(self) -> None:
        """Wait until no process of the group is left.

        Raises:
            AssertionError: somebody stayed behind.
        """
        assert self.process is not None
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            self.process.poll()
            if not self.members():
                return
            time.sleep(0.05)
        raise AssertionError(f"left behind: {self.members()}")

    def kill(self) -> None:
        """End whatever this test started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=STOP_SECONDS)

    def sign_in(self) -> dict[str, str]:
        """Return the headers of the first administrator."""
        answer = requests.post(
            f"{self.url}/api/v1/auth/login",
            json={"username": "admin", "password": PASSWORD},
            timeout=20,
        )
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-4000:])


class SlowRequest:
    """An upload that has begun and is finished when we say so."""

    def __init__(self, server: Server, body: bytes) -> None:
        self._body = body
        headers = {**server.sign_in(), "Host": "localhost", "Expect": "100-continue"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=STOP_SECONDS)
        self._socket.sendall(
            f"POST /api/v1/sites/starter/releases HTTP/1.1\r\n{head}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        # The server asks for the body: from now on the request is in flight for certain.
        assert b" 100 " in self._socket.recv(100)

    def send_half(self) -> None:
        """Send the first half of the body."""
        half = len(self._body) // 2
        self._socket.sendall(self._body[:half])
        self._body = self._body[half:]

    def finish(self) -> bytes:
        """Send the rest and return the first line of the answer."""
        with self._socket:
            self._socket.sendall(self._body)
            return self._socket.makefile("rb").readline()
