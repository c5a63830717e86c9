"""The small parent of the server's processes; standard library only.

Run as a script by `relevo serve`: `python supervisor.py PLAN`, the plan being JSON. It starts the
children, starts them again when they die, and stops them when it is told to. It shares their
process group, and the kernel ends them when it ends in any other way.
"""

import json
import os
import signal
import subprocess  # nosec B404
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

QUICK_DEATH_SECONDS = 10.0
MOST_QUICK_DEATHS = 5
FIRST_PAUSE_SECONDS = 0.25
KILL_MARGIN_SECONDS = 3.0
EXIT_CRASH_LOOP = 1


@dataclass(frozen=True, kw_only=True)
class ChildPlan:
    """One program to keep running.

    `listener` is the descriptor of its bound socket, which stays open while the program is
    restarted, so that visitors wait instead of being refused. `orphan_signal` is what the kernel
    sends it when the parent is killed.
    """

    name: str
    program: list[str]
    listener: int | None
    orphan_signal: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run; descriptors in it were opened before and are inherited."""

    shim: list[str]
    children: list[ChildPlan]
    shutdown_seconds: float
    log_json: bool

    def to_json(self) -> str:
        """Return the plan as one argument of a command line."""
        children = [vars(child) for child in self.children]
        return json.dumps({**vars(self), "children": children})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        values["children"] = [ChildPlan(**child) for child in values["children"]]
        return cls(**values)


@dataclass(kw_only=True)
class Child:
    """One program as it is now."""

    plan: ChildPlan
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0
    quick_deaths: int = 0

    @property
    def is_running(self) -> bool:
        """True between its start and its end."""
        return self.process is not None


@dataclass(kw_only=True)
class Supervisor:
    """Starts, restarts and stops the children of one plan."""

    plan: Plan
    children: list[Child] = field(default_factory=list)
    kill_at: float | None = None
    exit_code: int = 0

    def run(self) -> int:
        """Work until every child has ended after a request to stop; returns the exit code."""
        watched = _watched_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        self.children = [Child(plan=child) for child in self.plan.children]
        while not self._is_finished():
            self._start_due()
            received = signal.sigtimedwait(watched, self._pause())
            if received is not None:
                self._on_signal(signal.Signals(received.si_signo))
            self._reap()
            self._kill_late()
        self._log("INFO", "stopped", exit_code=self.exit_code)
        return self.exit_code

    @property
    def is_stopping(self) -> bool:
        """True once the children have been told to end."""
        return self.kill_at is not None

    def _is_finished(self) -> bool:
        return self.is_stopping and not any(child.is_running for child in self.children)

    def _pause(self) -> float:
        """Return for how many seconds nothing is due; a signal ends the wait earlier."""
        now = time.monotonic()
        due = [child.start_at for child in self.children if not child.is_running]
        times = [self.kill_at] if self.kill_at is not None else due
        return max(0.01, min([1.0, *(at - now for at in times)]))

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if not self.is_stopping and not child.is_running and child.start_at <= now:
                self._start(child)

    def _start(self, child: Child) -> None:
        tied = [*self.plan.shim, str(os.getpid()), str(child.plan.orphan_signal)]
        listener = child.plan.listener
        child.process = subprocess.Popen(  # noqa: S603  # nosec B603  # from the plan, no shell
            [*tied, *child.plan.program],
            stdin=subprocess.DEVNULL,
            pass_fds=() if listener is None else (listener,),
        )
        child.started_at = time.monotonic()
        self._log("INFO", "started", child=child.plan.name, pid=child.process.pid)

    def _on_signal(self, received: signal.Signals) -> None:
        if received is signal.SIGCHLD:
            return
        if not self.is_stopping:
            self._log("INFO", "stopping", signal=received.name)
            self._stop()
        elif received is signal.SIGINT:
            self._log("WARNING", "stopping at once", signal=received.name)
            self.kill_at = time.monotonic()

    def _stop(self) -> None:
        """Refuse new connections and let the children finish what they are doing."""
        self.kill_at = time.monotonic() + self.plan.shutdown_seconds + KILL_MARGIN_SECONDS
        for child in self.children:
            if child.plan.listener is not None:
                os.close(child.plan.listener)
            self._signal(child, signal.SIGTERM)

    def _reap(self) -> None:
        """Collect every process that ended, also orphans that became ours in a container."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for child in self.children:
                    if child.process is not None and child.process.pid == pid:
                        self._on_end(child, child.process, os.waitstatus_to_exitcode(status))

    def _on_end(self, child: Child, process: "subprocess.Popen[bytes]", code: int) -> None:
        process.returncode = code
        child.process = None
        if self.is_stopping:
            self._log("INFO", "ended", child=child.plan.name, exit_code=code)
            return
        lived = time.monotonic() - child.started_at
        child.quick_deaths = child.quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 1
        self._log("ERROR", "died", child=child.plan.name, exit_code=code, lived_seconds=lived)
        if child.quick_deaths >= MOST_QUICK_DEATHS:
            self._log("ERROR", "giving up", child=child.plan.name, deaths=child.quick_deaths)
            self.exit_code = EXIT_CRASH_LOOP
            self._stop()
            return
        child.start_at = time.monotonic() + FIRST_PAUSE_SECONDS * 2**child.quick_deaths

    def _kill_late(self) -> None:
        if self.kill_at is None or time.monotonic() < self.kill_at:
            return
        for child in self.children:
            if child.is_running:
                self._log("WARNING", "killed, it did not end in time", child=child.plan.name)
                self._signal(child, signal.SIGKILL)
        self.kill_at = time.monotonic() + KILL_MARGIN_SECONDS

    def _signal(self, child: Child, number: signal.Signals) -> None:
        # Between its end and its reaping a child is a zombie, so its number is still its own.
        if child.process is not None:
            os.kill(child.process.pid, number)

    def _log(self, level: str, message: str, **fields: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")  # noqa: TID251
        if self.plan.log_json:
            line = json.dumps(
                {"at": at, "level": level, "logger": "relevo.serve", "message": message, **fields}
            )
        else:
            shown = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{at} {level} relevo.serve {message} {shown}".rstrip()
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())


def _watched_signals() -> set[signal.Signals]:
    """Return the signals to wait for, without those that nohup or a shell made us ignore."""
    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
    wanted = {number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN}
    return {signal.SIGCHLD, *wanted}


def main() -> NoReturn:
    """Run the plan given as the only argument."""
    sys.exit(Supervisor(plan=Plan.from_json(sys.argv[1])).run())


if __name__ == "__main__":
    main()
