"""PostgreSQL, Redis and the broker of jobs are stopped in turn under reads and changes."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.outages.postgresql_server import postgresql_server, programs
from tests.outages.redis_server import redis_server
from tests.prove.client import Client
from tests.prove.content import ASSET, PAGE
from tests.prove.crashes import begin_site, settled
from tests.prove.installation import Installation
from tests.prove.outage_load import Call, Load
from tests.prove.races import at_once
from tests.prove.readers import Observations, Releases, reading

NAME = "outages"
TITLE = "Database, Redis and broker stopped under load"
THRESHOLDS = {
    "answers to visitors": "> 0",
    "visitors without an answer of 200": "== 0",
    "mixed bodies": "== 0",
    "calls without the database": "> 0",
    "of these not 503 with Retry-After": "== 0",
    "slowest of these, s": "<= 2",
    "calls without Redis": "> 0",
    "failed calls without Redis": "== 0",
    "calls without the broker": "> 0",
    "failed calls without the broker": "== 0",
    "failed calls while all was well": "== 0",
    "wrong answers of /readyz": "== 0",
    "slowest recovery, s": "<= 5",
    "processes that were replaced": "== 0",
    "disagreements": "== 0",
}
ROUNDS, QUICK_ROUNDS = 10, 1
WELL_SECONDS, DOWN_SECONDS = 2.0, 4.0
RECOVERY_SECONDS = 20.0
CALLERS = 8
"""As many as the two worker processes have threads."""


class Service(Protocol):
    """What can be stopped and started."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Outage:
    """One time without a service, in the order of its moments: it stops, is gone, comes back."""

    service: str
    stopping: float
    gone: float = 0
    coming: float = 0
    back: float = 0
    recovered: float = 0
    readiness: list[tuple[int, object]] = field(default_factory=list)

    def calls(self, calls: Sequence[Call]) -> list[Call]:
        """Return those that were made, from beginning to end, while the service was gone."""
        return [call for call in calls if self.gone <= call.started and call.ended <= self.coming]

    def touches(self, call: Call) -> bool:
        """Tell whether any of it happened during a call."""
        return call.ended >= self.stopping and call.started <= self.recovered


NOT_READY = {
    "database": (503, "unavailable"),
    "redis": (200, "degraded"),
    "broker": (200, "degraded"),
}
READY = (200, "ready")


def run(full: bool) -> dict[str, object]:
    """Stop each service as often as there are rounds; without the programs say so."""
    found = programs()
    if found is None or shutil.which("redis-server") is None:
        return {"skipped": "needs PostgreSQL and Redis (Debian: postgresql, redis-server)"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-prove-")))
        database = stack.enter_context(postgresql_server(found))
        redis = stack.enter_context(redis_server(folder))
        broker = stack.enter_context(redis_server(folder))
        installation = Installation(
            folder,
            DATABASE_URL=database.url,
            REDIS_URL=redis.url,
            CELERY_BROKER_URL=broker.url,
        )
        installation.set_up()
        stack.enter_context(installation.running())
        services: dict[str, Service] = {
            "database": database,
            "redis": redis,
            "broker": broker,
        }
        return _campaign(installation, services, ROUNDS if full else QUICK_ROUNDS)


def _campaign(
    installation: Installation, services: dict[str, Service], rounds: int
) -> dict[str, object]:
    releases, outages = Releases(), list[Outage]()
    begin_site(installation, releases)
    processes = {process.pid for process in installation.members()}
    load = Load(installation, releases)
    visitors = reading(
        installation.sites_port, releases, [PAGE, ASSET], host="web.localhost", pause_seconds=0.05
    )
    with visitors as seen, load.flowing():
        time.sleep(WELL_SECONDS)
        for _ in range(rounds):
            for name, service in services.items():
                outages.append(_go_without(installation, name, service))
                time.sleep(WELL_SECONDS)
    _, disagreements = settled(installation, load.sent)
    gone = processes - {process.pid for process in installation.members()}
    return {
        "rounds": rounds,
        **_visits(seen),
        **_judged(load.calls, outages),
        "acknowledged uploads": load.acknowledged("upload"),
        "acknowledged promotions": load.acknowledged("promotion"),
        "processes that were replaced": len(gone),
        "disagreements": len(disagreements),
        "first disagreements": disagreements[:5],
    }


def _go_without(installation: Installation, name: str, service: Service) -> Outage:
    """Stop a service for a while, start it again, and wait until nobody misses it."""
    outage = Outage(name, stopping=time.monotonic())
    service.stop()
    outage.gone = time.monotonic()
    while time.monotonic() < outage.gone + DOWN_SECONDS:
        outage.readiness.append(_readiness(installation))
        time.sleep(DOWN_SECONDS / 4)
    outage.coming = time.monotonic()
    service.start()
    outage.back = time.monotonic()
    while not _works(installation) and time.monotonic() < outage.back + RECOVERY_SECONDS:
        time.sleep(0.05)
    outage.recovered = time.monotonic()
    return outage


def _works(installation: Installation) -> bool:
    if _readiness(installation) != READY:
        return False
    credential = installation.client().credential
    answers = at_once(
        installation.port, credential, CALLERS, lambda client: client.get("/sites/web")
    )
    return all(answer.status == 200 for answer in answers)


def _readiness(installation: Installation) -> tuple[int, object]:
    answer = Client(installation.port).send("GET", "/readyz")
    return answer.status, answer.document.get("status")


def _wait_for_the_last(outages: Sequence[Outage], calls: Sequence[Call]) -> None:
    """Let an outage last until every process had noticed its end: `_works` may ask only one."""
    stops = [*(outage.stopping for outage in outages[1:]), float("inf")]
    for outage, next_stop in zip(outages, stops, strict=True):
        end = min(outage.back + RECOVERY_SECONDS, next_stop)
        late = [c.ended for c in calls if not c.is_fine and outage.back <= c.started < end]
        outage.recovered = max([outage.recovered, *late])


def _visits(seen: Observations) -> dict[str, object]:
    return {
        "answers to visitors": seen.answers,
        "visitors without an answer of 200": seen.lost
        + seen.not_found
        + seen.server_errors
        + seen.short,
        "mixed bodies": seen.mixed,
    }


def _judged(calls: Sequence[Call], outages: Sequence[Outage]) -> dict[str, object]:
    of = {
        name: [call for outage in outages if outage.service == name for call in outage.calls(calls)]
        for name in NOT_READY
    }
    _wait_for_the_last(outages, calls)
    well = [call for call in calls if not any(outage.touches(call) for outage in outages)]
    failed = [call for call in well if not call.is_fine]
    wrong = [
        f"{outage.service}: {state}"
        for outage in outages
        for state in outage.readiness
        if state != NOT_READY[outage.service]
    ]
    times = [call.ended - call.started for call in of["database"]]
    return {
        "calls": len(calls),
        "calls without the database": len(times),
        "of these not 503 with Retry-After": sum(not c.is_unavailable for c in of["database"]),
        "slowest of these, s": round(max(times, default=0), 2),
        "calls without Redis": len(of["redis"]),
        "failed calls without Redis": sum(not call.is_fine for call in of["redis"]),
        "calls without the broker": len(of["broker"]),
        "failed calls without the broker": sum(not call.is_fine for call in of["broker"]),
        "failed calls while all was well": len(failed),
        "first of these": [f"{call.kind}: {call.answer}" for call in failed][:3],
        "wrong answers of /readyz": len(wrong),
        "first wrong answers": wrong[:3],
        "slowest recovery, s": round(max(outage.recovered - outage.back for outage in outages), 2),
    }
