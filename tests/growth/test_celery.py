"""Jobs on Celery: the broker carries ids, the rows carry everything else."""

import base64
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from app import create_app
from config import load_settings
from core.jobs import JobKind, Queue, register
from core.waiting import wait_until
from models.engine import Base, db
from models.jobs import Job, JobState
from services import job_claims, jobs
from services.actors import system_actor
from services.health import CheckState, readiness
from services.transaction import transaction
from tasks import celery_bell
from tests import engines
from tests.outages.redis_server import RedisServer, redis_server
from tests.people import ENVIRONMENT
from tests.prove.job_kinds import EFFECTS, KIND, RELEASES_KIND

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
pytestmark = pytest.mark.service


@dataclass(frozen=True)
class Grown:
    """An installation that hears of jobs through a Redis of its own."""

    app: Flask
    environment: dict[str, str]
    redis: RedisServer

    def ask(self) -> str:
        with transaction():
            return jobs.enqueue(actor=system_actor(), kind=KIND, payload={}).public_id

    def effects(self) -> list[str]:
        with db.engine.connect() as connection:
            return list(connection.scalars(select(EFFECTS.c.job)))

    def send(self, *arguments: object, task: str = "relevo.job") -> None:
        """Send a message as anybody could who reaches the broker."""
        celery = self.app.extensions["celery"]
        celery.send_task(task, args=list(arguments), queue="relevo.default")

    @contextmanager
    def worker(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "tests.prove.job_worker", "work", *arguments]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=self.environment)
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == 0


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    folder = tmp_path_factory.mktemp("grown")
    with redis_server(folder) as redis:
        place = {
            **ENVIRONMENT,
            "DATA_DIR": str(folder),
            **engines.settings_of(folder),
            "CELERY_BROKER_URL": redis.url,
        }
        app = create_app(load_settings(place))
        register(app, JobKind(name=KIND, run=lambda _: None))
        with app.app_context():
            Base.metadata.create_all(db.engine)
            EFFECTS.create(db.engine)
            yield Grown(app, {"PATH": os.defpath, **place}, redis)
            db.session.remove()
            db.engine.dispose()


@pytest.fixture(scope="module")
def worker(grown: Grown) -> Iterator["subprocess.Popen[bytes]"]:
    with grown.worker() as process:
        yield process


@pytest.fixture(autouse=True)
def running(grown: Grown) -> None:
    grown.redis.start()


def ended(public_id: str) -> bool:
    return jobs.wait_for(public_id=public_id, seconds=PATIENCE_SECONDS)


def test_a_broker_that_lost_everything_lost_no_job(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_claims, "RING_AGAIN_AFTER", job_claims.RING_AGAIN_AFTER * 0)
    job = grown.ask()
    grown.redis.client.flushall()

    assert job_claims.ring_again() >= 1

    assert grown.redis.client.llen("relevo.default") >= 1
    with db.engine.connect() as connection:
        state = connection.scalar(select(Job.state).where(Job.public_id == job))
    assert state in (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)


def test_a_worker_of_one_queue_takes_back_what_was_lost_there(grown: Grown) -> None:
    if RELEASES_KIND not in grown.app.extensions["relevo.job_kinds"]:
        register(grown.app, JobKind(name=RELEASES_KIND, run=lambda _: None, queue=Queue.RELEASES))
    with transaction():
        job = jobs.enqueue(actor=system_actor(), kind=RELEASES_KIND, payload={}).public_id
    owner = "of-this-host"
    assert job_claims.claim_named(owner=owner, public_id=job) is not None
    lock = grown.app.extensions["relevo.settings"].data_dir / "run" / "workers" / owner
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()  # nobody holds it: that worker is dead

    with grown.worker("releases"):
        assert ended(job)

    assert grown.effects().count(job) == 1


def test_a_queue_is_left_to_the_workers_that_take_it(grown: Grown) -> None:
    name = "tests.webhooks"
    if name not in grown.app.extensions["relevo.job_kinds"]:
        register(grown.app, JobKind(name=name, run=lambda _: None, queue=Queue.WEBHOOKS))
    grown.redis.client.flushall()

    with transaction():
        jobs.enqueue(actor=system_actor(), kind=name, payload={})

    assert grown.redis.client.llen("relevo.webhooks") == 1
    assert grown.redis.client.llen("relevo.default") == 0


def test_a_job_is_done_by_a_worker_that_hears_of_it(
    grown: Grown, worker: "subprocess.Popen[bytes]"
) -> None:
    job = grown.ask()

    assert ended(job)
    assert grown.effects().count(job) == 1


def test_a_message_that_comes_five_times_has_one_effect(
    grown: Grown, worker: "subprocess.Popen[bytes]"
) -> None:
    job = grown.ask()
    for _ in range(4):
        grown.send(job)

    assert ended(job)
    last = grown.ask()
    assert ended(last)
    assert grown.effects().count(job) == 1


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(lambda grown: grown.send("x"), id="no id"),
        pytest.param(lambda grown: grown.send({"kind": "prove.count"}), id="an object"),
        pytest.param(lambda grown: grown.send(), id="nothing"),
        pytest.param(lambda grown: grown.send("touch /tmp/x", task="os.system"), id="foreign"),
        pytest.param(lambda grown: grown.send("0" * 22), id="an id of nothing"),
        pytest.param(lambda grown: _push(grown, _pickled()), id="pickle"),
        pytest.param(lambda grown: _push(grown, b"rubbish"), id="no message"),
    ],
)
def test_a_message_that_is_not_ours_is_refused_and_work_goes_on(
    grown: Grown, worker: "subprocess.Popen[bytes]", message: Callable[[Grown], None]
) -> None:
    message(grown)

    job = grown.ask()
    assert ended(job)
    assert grown.effects().count(job) == 1
    assert worker.poll() is None


def _push(grown: Grown, message: bytes) -> None:
    grown.redis.client.lpush("relevo.default", message)


def _pickled() -> bytes:
    body = pickle.dumps(([os.getpid()], {}, {}))
    properties = {
        "delivery_mode": 2,
        "delivery_info": {"exchange": "relevo", "routing_key": "relevo.default"},
        "delivery_tag": "1",
        "body_encoding": "base64",
    }
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"task": "relevo.job", "id": "x"},
        "properties": properties,
    }
    return json.dumps(message).encode()


def test_jobs_are_taken_while_the_broker_is_down_and_done_when_it_is_back(
    grown: Grown, worker: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    grown.redis.stop()

    waiting = [grown.ask() for _ in range(3)]

    assert readiness().checks["broker"].state is CheckState.DEGRADED
    grown.redis.start()
    assert all(ended(job) for job in waiting)
    assert readiness().checks["broker"].state is CheckState.OK
    assert [grown.effects().count(job) for job in waiting] == [1, 1, 1]


def test_a_broker_that_hangs_keeps_nobody_waiting(grown: Grown) -> None:
    patience = 5 * celery_bell.PATIENCE_SECONDS  # for a busy machine; each call waited 10 s
    grown.redis.pause()
    try:
        began = time.monotonic()
        waiting = [grown.ask() for _ in range(5)]
        state = readiness().checks["broker"].state
        took = time.monotonic() - began
    finally:
        grown.redis.resume()

    assert (state, len(waiting)) == (CheckState.DEGRADED, 5)
    assert took < patience
    assert wait_until(
        lambda: readiness().checks["broker"].state is CheckState.OK, seconds=PATIENCE_SECONDS
    )
