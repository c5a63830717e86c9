"""The server as it is started in practice: from anywhere, by make, at a terminal."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.operations.server import STOP_SECONDS, Server, SlowRequest

CONSOLE = Path(sys.executable).parent / "relevo"
CALLER = "import subprocess, sys; subprocess.run(sys.argv[1:])"
NO_ARCHIVE = b"PK not really an archive"


@pytest.fixture
def started(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.kill()


def test_interrupt_at_a_terminal_finishes_what_is_in_flight(started: Server) -> None:
    request = SlowRequest(started, NO_ARCHIVE)
    assert started.process is not None

    os.killpg(started.process.pid, signal.SIGINT)
    interrupted = threading.Event()
    interrupted.wait(1)
    answer = request.finish()

    assert answer.startswith(b"HTTP/1.1 422 ")
    started.wait_until_gone()
    assert started.process.wait(timeout=STOP_SECONDS) == 0


def test_modules_in_the_working_directory_do_not_come_before_ours(
    server: Server, tmp_path: Path
) -> None:
    for name in ("app", "config", "wsgi", "sites_wsgi", "core", "secrets", "html"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of a stranger')\n")

    server.start(command=[str(CONSOLE), "serve"], cwd=tmp_path)

    site = requests.get(
        f"http://127.0.0.1:{server.sites_port}/", headers={"Host": "starter.localhost"}, timeout=5
    )
    assert site.status_code == 200


def test_it_ends_with_the_program_that_started_it_when_asked_to(server: Server) -> None:
    arguments = [sys.executable, "-c", CALLER, str(CONSOLE), "serve", "--stop-with-parent"]
    caller = server.start(command=arguments)
    others = [process for process in server.members() if process != caller]
    assert len(others) >= 6

    caller.kill()

    assert psutil.wait_procs(others, timeout=STOP_SECONDS)[1] == []


def test_the_group_has_no_session_of_its_own_inside(running: Server) -> None:
    assert running.process is not None

    sessions = {os.getsid(process.pid) for process in running.members()}

    assert sessions == {running.process.pid}


def test_no_secret_is_in_a_command_line_or_environment(running: Server) -> None:
    keys = (running.data_dir / "secrets.env").read_text().splitlines()
    secrets = [key.partition("=")[2] for key in keys if "=" in key]

    seen = " ".join(
        " ".join([*process.cmdline(), *process.environ().values()]) for process in running.members()
    )

    assert [secret for secret in secrets if secret in seen] == []


def test_make_names_the_python_that_is_missing(tmp_path: Path) -> None:
    makefile = Path(__file__).resolve().parents[2] / "Makefile"

    outcome = subprocess.run(
        ["make", "-f", str(makefile), "PYTHON=/bin/false", ".venv/created"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode != 0
    assert "Python 3.11" in outcome.stderr
