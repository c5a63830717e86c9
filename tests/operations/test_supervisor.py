"""The small parent with stand-ins as children: real processes, no server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cli import supervisor
from cli.supervisor import ChildPlan, Plan
from core import child

PYTHON = [sys.executable, "-I", "-S"]
WAIT_SECONDS = 20.0
ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What else asks the parent to stop, unless it was told to ignore it."""
UNTIL_TERM = "import signal; signal.sigwait({signal.SIGTERM})"
SLEEP = "import time; time.sleep(600)"
HOLD_TERM = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
IGNORE_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
IGNORE_OTHERS = (
    "import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGHUP, signal.SIGQUIT)]"
)


class Parent:
    """A running supervisor and what it wrote."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self, *programs: str, shutdown_seconds: float = 10, listener: int | None = None
    ) -> psutil.Process:
        """Start it with one child for each Python program, and wait until they all run."""
        children = [
            ChildPlan(
                name=f"child{number}",
                program=[*PYTHON, "-c", program],
                listener=listener,
                orphan_signal=signal.SIGKILL,
            )
            for number, program in enumerate(programs)
        ]
        plan = Plan(
            shim=[*PYTHON, child.__file__],
            children=children,
            shutdown_seconds=shutdown_seconds,
            log_json=True,
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PYTHON, supervisor.__file__, plan.to_json()],
                stderr=log,
                start_new_session=True,
                pass_fds=() if listener is None else (listener,),
            )
        self.wait_for("started", times=len(programs))
        return psutil.Process(self.process.pid)

    def lines(self, message: str) -> list[dict[str, object]]:
        """Return the lines of the log with this message."""
        complete = self.log.read_text().splitlines()
        found = [json.loads(line) for line in complete if line.startswith("{")]
        return [line for line in found if line["message"] == message]

    def wait_for(self, message: str, *, times: int = 1) -> list[dict[str, object]]:
        """Wait until a message was logged so many times."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = self.lines(message)
            if len(found) >= times:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {message!r} in:\n{self.log.read_text()}")

    def wait(self) -> int:
        """Return the exit code."""
        assert self.process is not None
        return self.process.wait(timeout=WAIT_SECONDS)

    def kill(self) -> None:
        """End whatever is left of the group."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=WAIT_SECONDS)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    """A parent that meets no signal ignored, also where the tests run under nohup."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    started = Parent(tmp_path / "parent.log")
    yield started
    started.kill()
    for number, handler in before.items():
        signal.signal(number, handler)


class Mark:
    """A file by which a stand-in tells how far it has come."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def program(self, *parts: str) -> str:
        """Return a program of these parts that makes the mark before the last one."""
        return "; ".join([*parts[:-1], f"open({str(self.path)!r}, 'w').close()", parts[-1]])

    def wait(self) -> None:
        """Wait for the mark."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.path.exists():
            assert time.monotonic() < deadline, "the stand-in did not come up"
            time.sleep(0.02)


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    return Mark(tmp_path / "mark")


def test_children_share_the_group_of_the_parent(parent: Parent) -> None:
    process = parent.start(UNTIL_TERM, UNTIL_TERM)

    groups = {os.getpgid(one.pid) for one in [process, *process.children()]}

    assert groups == {process.pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, *ENDING])
def test_a_signal_to_the_group_ends_everything_cleanly(
    parent: Parent, mark: Mark, number: signal.Signals
) -> None:
    process = parent.start(mark.program(HOLD_TERM, IGNORE_OTHERS, UNTIL_TERM))
    mark.wait()

    os.killpg(process.pid, number)

    assert parent.wait() == 0
    assert [line["exit_code"] for line in parent.lines("ended")] == [0]


def test_a_killed_parent_takes_its_children_along(parent: Parent, mark: Mark) -> None:
    process = parent.start(UNTIL_TERM, mark.program(IGNORE_TERM, SLEEP))
    mark.wait()
    children = process.children()

    process.kill()

    assert psutil.wait_procs(children, timeout=WAIT_SECONDS)[1] == []


def test_a_child_that_dies_is_started_again(parent: Parent) -> None:
    process = parent.start(UNTIL_TERM)

    process.children()[0].kill()

    parent.wait_for("died")
    assert len(parent.wait_for("started", times=2)) == 2


def test_children_that_keep_dying_end_the_parent_with_an_error(parent: Parent) -> None:
    parent.start("raise SystemExit(3)", UNTIL_TERM)

    assert parent.wait() == supervisor.EXIT_CRASH_LOOP
    assert len(parent.lines("died")) == supervisor.MOST_QUICK_DEATHS
    assert parent.lines("ended")[-1]["child"] == "child1"


def test_a_child_that_ignores_the_request_to_end_is_killed(parent: Parent, mark: Mark) -> None:
    process = parent.start(mark.program(IGNORE_TERM, SLEEP), shutdown_seconds=0.1)
    mark.wait()

    process.terminate()

    assert parent.wait() == 0
    assert parent.lines("ended")[-1]["exit_code"] == -signal.SIGKILL


def test_a_second_interrupt_does_not_wait(parent: Parent, mark: Mark) -> None:
    process = parent.start(mark.program(IGNORE_TERM, SLEEP), shutdown_seconds=600)
    mark.wait()
    process.send_signal(signal.SIGINT)
    parent.wait_for("stopping")

    process.send_signal(signal.SIGINT)

    assert parent.wait() == 0


def test_a_port_stays_bound_while_its_child_is_started_again(parent: Parent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        accept = f"import socket; c = socket.socket(fileno={listener.fileno()}).accept()[0]"
        process = parent.start(
            "; ".join([accept, "c.send(b'hello')", SLEEP]), listener=listener.fileno()
        )
    process.children()[0].kill()
    parent.wait_for("died")

    with socket.create_connection(address, timeout=WAIT_SECONDS) as visitor:
        greeting = visitor.recv(5)

    assert greeting == b"hello"


def test_a_stopping_parent_refuses_new_connections(parent: Parent, mark: Mark) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        close = f"import os; os.close({listener.fileno()})"
        process = parent.start(
            mark.program(IGNORE_TERM, close, SLEEP),
            listener=listener.fileno(),
            shutdown_seconds=600,
        )
    mark.wait()
    socket.create_connection(address, timeout=WAIT_SECONDS).close()

    process.terminate()
    parent.wait_for("stopping")

    wait_until_refused(address)


def wait_until_refused(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(address, timeout=WAIT_SECONDS).close()
            time.sleep(0.02)


def test_a_shim_without_its_parent_starts_nothing(mark: Mark) -> None:
    stranger = str(os.getpid() + 1)
    program = ["/usr/bin/touch", str(mark.path)]

    outcome = subprocess.run([*PYTHON, child.__file__, stranger, "9", *program], check=False)

    assert outcome.returncode == child.EXIT_ORPHANED
    assert not mark.path.exists()
