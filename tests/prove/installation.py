"""A whole installation on loopback ports: made by the shipped commands, killed as one group."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from config import normal_database_url
from tests import engines
from tests.prove.client import Client
from tests.prove.ledger import Ledger, ServerLedger

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
COMMAND_SECONDS = 60
START_SECONDS = 60
STOP_SECONDS = 40
ADMIN = "admin"
SCOPES = (
    "sites:read",
    "sites:write",
    "environments:write",
    "releases:write",
    "promotions:write",
    "promotions:rollback",
    "audit:read",
)

LINES = {
    "serve": ("relevo", "serve", "--stop-with-parent"),
    "web": ("gunicorn", "--config", "deploy/gunicorn/web.py", "wsgi:app"),
    "sites": ("gunicorn", "--config", "deploy/gunicorn/sites.py", "sites_wsgi:app"),
    "worker": ("relevo", "worker"),
}
"""The shipped way to run everything, and the lines of the Procfile to run parts."""

_TIED = (sys.executable, str(REPOSITORY / "core" / "child.py"))
END = str(int(signal.SIGTERM))
"""The campaign may be stopped at any time, and no server stays behind."""


class Installation:
    """One installation in a folder of its own, with the settings of production.

    Only the ports and the limit of calls differ from what is shipped, and what `settings` says.
    """

    def __init__(self, work: Path, **settings: str) -> None:
        self.work = work
        self.data_dir = work / "data"
        self.sites_root = self.data_dir / "sites"
        self.database = self.data_dir / "relevo.db"
        self.log = work / "server.log"
        self.port, self.sites_port = _free_port(), _free_port()
        self.password = secrets.token_urlsafe(24)
        self._settings = settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._credential = ""

    def ledger(self) -> Ledger:
        """Return what reads the rows beside the server."""
        url = self.environment.get("DATABASE_URL")
        return Ledger(self.database) if url is None else ServerLedger(normal_database_url(url))

    @property
    def environment(self) -> dict[str, str]:
        """The process environment: nothing is inherited but the search path."""
        return {
            "PATH": f"{PROGRAMS}:{os.defpath}",
            "PYTHONPATH": str(REPOSITORY),
            "LANG": "C.UTF-8",
            "ENVIRONMENT": "production",
            "DATA_DIR": str(self.data_dir),
            **engines.settings_of(self.data_dir),
            "PORT": str(self.port),
            "SITES_PORT": str(self.sites_port),
            "ADMIN_PASSWORD": self.password,
            "API_RATE_LIMIT": "1000000/minute",
            "LOGIN_RATE_LIMIT": "1000000/minute",
            "ACCESS_TOKEN_MINUTES": "1440",
            "LOG_LEVEL": "WARNING",
            **self._settings,
        }

    def set_up(self) -> None:
        """Make keys, tables, the first administrator and the starter site."""
        self.data_dir.mkdir(parents=True, mode=0o700)
        self.command("setup")

    def command(self, *words: str, **settings: str) -> str:
        """Run a `relevo` command and return what it printed."""
        done = subprocess.run(
            [str(PROGRAMS / "relevo"), *words],
            cwd=REPOSITORY,
            env={**self.environment, **settings},
            capture_output=True,
            timeout=COMMAND_SECONDS,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"relevo {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def api_token(self) -> str:
        """Return a new API token that may do what a pipeline does."""
        words = [word for scope in SCOPES for word in ("--scope", scope)]
        name = f"prove-{secrets.token_hex(4)}"
        return self.command("tokens", "create", ADMIN, "--name", name, *words).strip()

    def client(self) -> Client:
        """Return a client of the administrator, signed in once and for all."""
        return Client(self.port, self.access_token())

    def access_token(self) -> str:
        """Return the administrator's access token."""
        if not self._credential:
            body = {"username": ADMIN, "password": self.password}
            answer = Client(self.port).post("/auth/login", body)
            self._credential = str(answer.expect(200)["access_token"])
        return self._credential

    def start(
        self, *, failpoint: str = "", wait: bool = True, names: tuple[str, ...] = ("serve",)
    ) -> None:
        """Start the processes in one new process group and wait until they are ready."""
        settings = {**self.environment, **({"FAILPOINT": failpoint} if failpoint else {})}
        group = 0
        with self.log.open("ab") as log:
            for name in names:
                program, *arguments = LINES[name]
                self._processes[name] = subprocess.Popen(
                    [*_TIED, str(os.getpid()), END, str(PROGRAMS / program), *arguments],
                    cwd=REPOSITORY,
                    env=settings,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=group,
                )
                group = group or self._processes[name].pid
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for `/readyz` and for the port of the visitors."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready in time:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.03)

    def _is_ready(self) -> bool:
        for name, process in self._processes.items():
            if process.poll() is not None:
                end = self.log.read_text()[-4000:]
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{end}")
        try:
            if "web" not in self._processes:
                Client(self.sites_port).send("GET", "/", host="localhost")
            return Client(self.port).send("GET", "/readyz").status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """Send SIGKILL to the whole process group, and collect what is left of it."""
        members = self.members()
        if self._processes:
            group = next(iter(self._processes.values())).pid
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for process in self._processes.values():
            process.wait(STOP_SECONDS)
        # Grandchildren are reaped by init; until then they may still hold a port or a lock.
        psutil.wait_procs(members, timeout=STOP_SECONDS)
        self._processes.clear()

    def stop(self) -> None:
        """End everything in order."""
        for process in self._processes.values():
            process.terminate()
        try:
            for process in self._processes.values():
                process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._processes.clear()

    def members(self, name: str | None = None) -> list[psutil.Process]:
        """Return the running processes, of one line if it is named, parents before children."""
        found: list[psutil.Process] = []
        for own, process in self._processes.items():
            if name in (None, own) and process.poll() is None:
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    @contextmanager
    def running(self, *names: str) -> Iterator["Installation"]:
        """Run until the block ends."""
        self.start(names=names or ("serve",))
        try:
            yield self
        finally:
            self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
