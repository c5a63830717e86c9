"""An authenticated list of 20 and a single item, against the same in three other stacks.

All servers run at once, with two worker processes each, on the same database and rows. Windows of
load go round them in turn; what counts is the processor time that a server's processes took for
each request, and the requests it answered in a second.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
import psutil
import requests

from benchmarks.measure import Line
from config import normal_database_url
from tests import engines
from tests.prove.installation import REPOSITORY, Installation

PART = "reading"
KEY = "benchmark-peers-share-this-key-of-32-bytes"
SITES = 60
CONNECTIONS = 16
ROUNDS, QUICK_ROUNDS = 15, 3
WINDOW_SECONDS = 2
OPERATIONS = {"list of 20": "/api/v1/sites", "single item": "/api/v1/sites/site-7"}
GOALS = {
    "plain": (">= 1.6", "<= 0.65"),
    "fastapi sync": (">= 1.3", ""),
    "fastapi async": (">= 1", ""),
}
GUNICORN = ("-m", "gunicorn", "--workers", "2", "--threads", "4", "--worker-class", "gthread")
UVICORN = ("-m", "uvicorn", "--workers", "2", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True)
class Server:
    """A server that runs: where it listens, what it is called with, and its processes."""

    name: str
    port: int
    credential: str
    root: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the processor time that all its processes have taken."""
        total = 0.0
        for process in [self.root, *self.root.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total


def run(quick: bool) -> list[Line]:
    """Measure on every engine that answers."""
    if shutil.which("wrk") is None:
        raise SystemExit("reading needs the load generator wrk: apt install wrk")
    lines: list[Line] = []
    for engine in (engines.SQLITE,) if quick else engines.ENGINES:
        with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder, ExitStack() as stack:
            installation = stack.enter_context(_installation(Path(folder), engine))
            servers = [stack.enter_context(server) for server in _servers(installation)]
            lines += _measure(engine, servers, QUICK_ROUNDS if quick else ROUNDS)
    return lines


@contextmanager
def _installation(folder: Path, engine: str) -> Iterator[Installation]:
    settings = {}
    if engine != engines.SQLITE:
        home = engines.server(engine)
        settings["DATABASE_URL"] = home.address(home.create())
    installation = Installation(folder / "relevo", **settings)
    installation.set_up()
    with installation.running("web"):
        client = installation.client()
        for number in range(SITES):
            body = {
                "slug": f"site-{number}",
                "name": f"Site {number}",
                "description": "One of many",
            }
            client.post("/sites", body).expect(201)
        yield installation


def _servers(installation: Installation) -> Iterator[AbstractContextManager[Server]]:
    yield _ours(installation)
    for name, module, line in (
        ("plain", "plain", GUNICORN),
        ("fastapi sync", "fastapi_sync", UVICORN),
        ("fastapi async", "fastapi_async", UVICORN),
    ):
        yield _peer(installation, name, f"benchmarks.peers.{module}:app", line)


@contextmanager
def _ours(installation: Installation) -> Iterator[Server]:
    root = installation.members("web")[0]
    yield Server("relevo", installation.port, installation.access_token(), root)


@contextmanager
def _peer(
    installation: Installation, name: str, application: str, line: tuple[str, ...]
) -> Iterator[Server]:
    url = installation.environment.get("DATABASE_URL") or f"sqlite:///{installation.database}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    place = ("--bind", f"127.0.0.1:{port}") if line is GUNICORN else ("--port", str(port))
    extra = ("--no-control-socket",) if line is GUNICORN else ()
    environment = {
        "PATH": os.defpath,
        "PEER_DATABASE_URL": normal_database_url(url),
        "PEER_KEY": KEY,
    }
    process = subprocess.Popen(
        [sys.executable, *line, *place, *extra, application],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    claims = {"sub": "1", "type": "access", "fresh": False, "jti": "1", "iat": int(time.time())}
    token = jwt.encode({**claims, "nbf": claims["iat"], "exp": int(time.time()) + 86_400}, KEY)
    try:
        yield Server(name, port, token, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


def _measure(engine: str, servers: list[Server], rounds: int) -> list[Line]:
    _same_answers(servers)
    lines: list[Line] = []
    for operation, path in OPERATIONS.items():
        cpu: dict[str, list[float]] = defaultdict(list)
        rate: dict[str, list[float]] = defaultdict(list)
        for turn in range(rounds + 1):
            for server in servers:
                spent, done, seconds = _window(server, path)
                if turn:  # the first round warms up
                    cpu[server.name].append(spent / done * 1000)
                    rate[server.name].append(done / seconds)
        lines += _lines(f"{operation}, {engine}", cpu, rate)
    return lines


def _lines(what: str, cpu: dict[str, list[float]], rate: dict[str, list[float]]) -> Iterator[Line]:
    ours_cpu, ours_rate = cpu.pop("relevo"), rate.pop("relevo")
    for name in cpu:
        rate_goal, cpu_goal = GOALS[name]
        faster = [a / b for a, b in zip(ours_rate, rate[name], strict=True)]
        dearer = [a / b for a, b in zip(ours_cpu, cpu[name], strict=True)]
        yield Line(
            PART,
            f"{what}: requests per second against {name}",
            statistics.median(faster),
            rate_goal,
            detail=f"{statistics.median(ours_rate):,.0f}/s against "
            f"{statistics.median(rate[name]):,.0f}/s",
        )
        yield Line(
            PART,
            f"{what}: processor time against {name}",
            statistics.median(dearer),
            cpu_goal,
            detail=f"{statistics.median(ours_cpu):.3f} ms against "
            f"{statistics.median(cpu[name]):.3f} ms a request",
        )


def _window(server: Server, path: str) -> tuple[float, int, float]:
    """Load one server for a while; return processor seconds, answers and seconds."""
    before = server.cpu_seconds()
    started = time.perf_counter()
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{WINDOW_SECONDS}s"),
            *("-H", f"Authorization: Bearer {server.credential}"),
            f"http://127.0.0.1:{server.port}{path}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds = time.perf_counter() - started
    if "Non-2xx" in done:
        raise RuntimeError(f"{server.name} refused {path}:\n{done}")
    answered = re.search(r"(\d+) requests in", done)
    if answered is None:
        raise RuntimeError(done)
    return server.cpu_seconds() - before, int(answered.group(1)), seconds


def _same_answers(servers: list[Server]) -> None:
    """Wait until all answer, and refuse to compare what is not the same work."""
    answers = []
    for server in servers:
        for _ in range(100):
            try:
                url = f"http://127.0.0.1:{server.port}{OPERATIONS['list of 20']}"
                headers = {"Authorization": f"Bearer {server.credential}"}
                answer = requests.get(url, headers=headers, timeout=30)
                break
            except requests.RequestException:
                time.sleep(0.2)
        document = answer.json()
        if answer.status_code != 200:
            raise RuntimeError(f"{server.name}: {answer.status_code} {answer.text}")
        answers.append((document["meta"], [item["slug"] for item in document["items"]]))
    if any(answer != answers[0] for answer in answers):
        raise RuntimeError("the servers do not answer alike")
