"""Two API nodes and two Celery workers on one PostgreSQL, one Redis and one folder of sites."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from core.strides import STRIDE_SECONDS
from tests.api.served import CALL_SECONDS, REPOSITORY, Served, serve, serve_people
from tests.api.streams import Stream
from tests.archives.zip_maker import simple_zip
from tests.engines import POSTGRESQL, server
from tests.outages.redis_server import redis_server
from tests.people import ENVIRONMENT

pytestmark = pytest.mark.service

STOP_SECONDS = 60
FILES = {"index.html": b"hello", "about.html": b"us", "menu.html": b"soup"}


@dataclass(frozen=True)
class Grown:
    """Everything that a grown installation consists of, but for its workers."""

    here: Served
    there: Served
    folder: Path
    place: dict[str, str]

    @contextmanager
    def worker(self, queues: str) -> Iterator[None]:
        """Run a worker for some queues until the block ends."""
        data_dir = self.folder / f"worker-{queues}"
        data_dir.mkdir()
        environment = {**ENVIRONMENT, **self.place, "DATA_DIR": str(data_dir)}
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.console", "worker", "--queues", queues],
            cwd=REPOSITORY,
            env={"PATH": os.defpath, **environment},
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    home, folder = server(POSTGRESQL), tmp_path_factory.mktemp("grown")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        place = {
            "DATABASE_URL": home.address(home.create()),
            "REDIS_URL": redis.url,
            "CELERY_BROKER_URL": redis.url,
            "SITES_ROOT": str(folder / "sites"),
            "INLINE_RELEASE_FILES": "1",
        }
        here = stack.enter_context(serve(folder / "here", **place))
        there = stack.enter_context(serve_people(here.people, folder / "there", **place))
        yield Grown(here, there, folder, place)


def upload(node: Served, token: str) -> dict[str, Any]:
    """Send what is too large to be unpacked within the request; return the answer."""
    answer = requests.post(
        f"{node.url}/api/v1/sites/web/releases",
        data=simple_zip(FILES),
        headers={"Authorization": f"Bearer {token}"},
        timeout=CALL_SECONDS,
    )
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def get(node: Served, path: str, token: str) -> Any:
    """Return what a node says; Any because it is JSON."""
    answer = node.call("GET", path, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(node: Served, job: str, token: str) -> Any:
    """Wait for the end of a job, in pieces that are shorter than a call may take."""
    for _ in range(10):
        document = get(node, f"/jobs/{job}?wait=10", token)
        if document["state"] not in ("queued", "running"):
            break
    return document


def test_work_crosses_from_node_to_worker_to_node(grown: Grown) -> None:
    token = grown.here.log_in("root")["access_token"]
    grown.here.call("POST", "/sites", {"slug": "web", "name": "Web"}, token)

    with (
        grown.worker("default,webhooks"),
        Stream(grown.there, token, "topics=promotion.*") as heard,
    ):
        sent = upload(grown.here, token)
        waiting = get(grown.there, f"/jobs/{sent['job']}?wait=2", token)
        with grown.worker("releases"):
            done = ended(grown.there, sent["job"], token)
        release = get(grown.there, f"/sites/web/releases/{sent['number']}", token)
        body = {"to": "main", "release": sent["number"]}
        promoted = grown.here.call("POST", "/sites/web/promotions", body, token)
        told = [heard.event().data["action"], heard.event().data["action"]]

    assert (sent["state"], waiting["state"], done["state"]) == ("processing", "queued", "succeeded")
    assert release["state"] == "ready"
    assert promoted.status_code == 201, promoted.text
    assert get(grown.there, "/sites/web/environments/main", token)["release"] == sent["number"]
    assert told == ["promotion.succeeded", "promotion.succeeded"]  # onto test, and onto main


def test_calls_to_both_nodes_count_together(grown: Grown) -> None:
    token = grown.here.log_in("root")["access_token"]

    left = []
    for node in (grown.here, grown.there, grown.here):
        time.sleep(2 * STRIDE_SECONDS)
        answer = node.call("GET", "/version", token=token)
        left.append(int(answer.headers["X-RateLimit-Remaining"]))

    assert left == [left[0], left[0] - 1, left[0] - 2]
