"""Jobs delivered several times to workers that are killed or stopped: one effect each."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from sqlalchemy import func, select

from app import create_app
from config import load_settings
from core.jobs import JobKind, register
from models.engine import Base, db
from models.jobs import Job, JobState
from services import jobs
from services.actors import system_actor
from services.transaction import end_reading, transaction
from tests.outages.redis_server import redis_server
from tests.people import ENVIRONMENT
from tests.prove.job_kinds import EFFECTS, KIND, LONG_KIND

NAME = "deliveries"
TITLE = "Jobs delivered 2 to 5 times to workers that are killed"
THRESHOLDS = {
    "jobs without exactly one effect": "== 0",
    "jobs that did not succeed": "== 0",
    "effects of no job": "== 0",
}
JOBS, QUICK_JOBS = 1_000, 40
JOBS_PER_DISTURBANCE = 8
"""So that the last jobs are done in peace, whatever the machine is busy with."""
DELIVERIES = (2, 5)
WORKERS, DELIVERERS = 2, 2
LEASE_SECONDS = 2
LONG_SECONDS = 3.0
PAUSES = (1.0, 4.0)
STOPPED_SHARE = 0.25
PATIENCE_SECONDS = 900.0
REPOSITORY = Path(__file__).resolve().parents[2]


def run(full: bool) -> dict[str, object]:
    """Deliver by the embedded workers, then, in the long run, by Celery."""
    figures = campaign(JOBS if full else QUICK_JOBS, celery=False)
    if not full or shutil.which("redis-server") is None:
        return dict(figures)
    grown = campaign(JOBS, celery=True)
    return {
        **{name: f"{figures[name]} + {grown[name]} (Celery)" for name in figures},
        **{name: figures[name] + grown[name] for name in THRESHOLDS},
    }


def campaign(count: int, *, celery: bool) -> dict[str, int]:
    """Let `count` jobs be done by one kind of worker; return what was seen."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder, _broker(celery) as broker:
        place = {
            **ENVIRONMENT,
            "LOG_LEVEL": "ERROR",
            "DATA_DIR": folder,
            "JOB_LEASE_SECONDS": str(LEASE_SECONDS),
            **broker,
        }
        app = create_app(load_settings(place))
        for kind in (KIND, LONG_KIND):
            register(app, JobKind(name=kind, run=lambda _: None, max_attempts=10_000))
        with app.app_context():
            Base.metadata.create_all(db.engine)
            EFFECTS.create(db.engine)
            crowd = Crowd({"PATH": os.defpath, **place}, Path(folder))
            try:
                return _deliver(app, crowd, count, celery=celery)
            finally:
                crowd.end()
                db.session.remove()
                db.engine.dispose()


@contextmanager
def _broker(celery: bool) -> Iterator[dict[str, str]]:
    if not celery:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        yield {"CELERY_BROKER_URL": redis.url}


@dataclass
class Crowd:
    """Worker processes, each started again when it died."""

    environment: dict[str, str]
    folder: Path
    commands: dict[str, tuple[str, str]] = field(default_factory=dict)
    running: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)
    kills: int = 0
    stops: int = 0

    def add(self, name: str, mode: str, given: str = "") -> None:
        """Start one more process; `given` is what it reads."""
        self.commands[name] = (mode, given)
        self._start(name)

    def disturb(self) -> None:
        """Kill a random process and start it again, or hold it up for longer than a lease."""
        name = random.choice(sorted(self.running))
        process = self.running[name]
        if random.random() < STOPPED_SHARE:
            process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE_SECONDS * 1.5)
            process.send_signal(signal.SIGCONT)
            self.stops += 1
            return
        process.kill()
        process.wait()
        self._start(name)
        self.kills += 1

    def end(self) -> None:
        """Kill everything."""
        for process in self.running.values():
            process.kill()
            process.wait()

    def _start(self, name: str) -> None:
        mode, given = self.commands[name]
        source = self.folder / f"{name}.ids"
        source.write_text(given)
        with source.open() as ids:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.prove.job_worker", mode],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=ids,
                stderr=subprocess.DEVNULL,
                text=True,
            )


def _deliver(app: Flask, crowd: Crowd, count: int, *, celery: bool) -> dict[str, int]:
    ids = [_ask(KIND) for _ in range(count - 1)]
    ids.append(_ask(LONG_KIND, seconds=LONG_SECONDS))
    deliveries = [one for one in ids for _ in range(random.randint(*DELIVERIES))]
    random.shuffle(deliveries)
    for number in range(WORKERS):
        crowd.add(f"worker{number}", "work")
    if celery:
        sender = threading.Thread(target=_send, args=(app, deliveries), daemon=True)
        sender.start()
    else:
        for number in range(DELIVERERS):
            part = deliveries[number::DELIVERERS]
            crowd.add(f"deliverer{number}", "deliver", "\n".join(part))
    deadline = time.monotonic() + PATIENCE_SECONDS
    rest = count // JOBS_PER_DISTURBANCE
    while _open_jobs() and time.monotonic() < deadline:
        time.sleep(random.uniform(*PAUSES))
        if rest > 0:
            crowd.disturb()
            rest -= 1
    return _figures(ids, len(deliveries), crowd)


def _ask(kind: str, **payload: float) -> str:
    with transaction():
        return jobs.enqueue(actor=system_actor(), kind=kind, payload=payload).public_id


def _send(app: Flask, deliveries: list[str]) -> None:
    bell = app.extensions["relevo.bell"]
    for public_id in deliveries:
        with suppress(OSError):
            bell.ring(job_id=public_id, queue="default")


def _open_jobs() -> int:
    query = select(func.count()).where(Job.state.in_([JobState.QUEUED, JobState.RUNNING]))
    found = db.session.scalar(query) or 0
    end_reading()
    return found


def _figures(ids: list[str], deliveries: int, crowd: Crowd) -> dict[str, int]:
    with db.engine.connect() as connection:
        effects = Counter(connection.scalars(select(EFFECTS.c.job)))
        states = Counter(connection.scalars(select(Job.state)))
        attempts = connection.scalar(select(func.sum(Job.attempts))) or 0
    return {
        "jobs": len(ids),
        "deliveries": deliveries,
        "attempts": int(attempts),
        "workers killed": crowd.kills,
        "workers held up for longer than a lease": crowd.stops,
        "jobs without exactly one effect": sum(effects[one] != 1 for one in ids),
        "jobs that did not succeed": len(ids) - states[JobState.SUCCEEDED],
        "effects of no job": len(effects.keys() - set(ids)),
    }
