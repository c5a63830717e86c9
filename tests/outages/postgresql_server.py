"""A PostgreSQL of its own for tests: they pull the plug on it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.operations.server import free_port

ACCOUNT = "postgres"
COMMAND_SECONDS = 60


def programs() -> Path | None:
    """Return the folder of the newest server's programs, which Debian keeps out of PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    on_path = shutil.which("pg_ctl")
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    return Path(on_path).parent if on_path else None


class PostgresqlServer:
    """One cluster; stopping it is a crash, after which it recovers from its log."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self.port = free_port()
        self.url = f"postgresql://{ACCOUNT}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make the cluster."""
        if os.geteuid() == 0:
            shutil.chown(self._folder, ACCOUNT)
        self._run("initdb", "--username", ACCOUNT, "--auth", "trust", "--encoding", "UTF8")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories=''"
        self._run("pg_ctl", "--wait", "--log", "log", "--options", options, "start")

    def stop(self) -> None:
        """End it without a shutdown, as if the machine had gone."""
        self._run("pg_ctl", "--wait", "--mode", "immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        # The server does not run as root, and it inherits what it is started with: no pipes.
        account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}
        subprocess.run(
            [self._programs / program, "--pgdata", "cluster", *words],
            cwd=self._folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=True,
            **(account if os.geteuid() == 0 else {}),  # type: ignore[call-overload]  # by name
        )


@contextmanager
def postgresql_server(programs: Path) -> Iterator[PostgresqlServer]:
    """Run a PostgreSQL until the block ends."""
    with tempfile.TemporaryDirectory(prefix="relevo-postgresql-") as folder:
        server = PostgresqlServer(Path(folder), programs)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
