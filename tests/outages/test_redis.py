"""Redis goes away, hangs or crawls under a running server in production mode, and comes back."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
import requests

from cli.migrating import alembic_commands
from core.extensions import site_store
from core.redis_link import RedisLink
from core.strides import STRIDE_SECONDS
from models.engine import db
from tests.api.served import Served, serve
from tests.archives.zip_maker import simple_zip
from tests.factories import environment, make_site, page, promotions, served
from tests.outages.proxy import Mode, Proxy, proxy_to
from tests.outages.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.service

# The promise is that nobody waits; a test that runs beside others must not depend on it closely.
PATIENCE_SECONDS = 4
RECOVERY_SECONDS = 20
MANY = 12


@dataclass(frozen=True)
class Installation:
    """A running API, its Redis, and the way to it."""

    api: Served
    redis: RedisServer
    proxy: Proxy
    token: str

    def read_at_once(self) -> list[requests.Response]:
        """Call something many times at the same moment, so that each worker takes part."""
        with ThreadPoolExecutor(MANY) as pool:
            return list(pool.map(lambda _: self._read(), range(MANY)))

    def _read(self) -> requests.Response:
        return self.api.call("GET", "/sites", token=self.token)

    def readiness(self) -> tuple[int, str, str]:
        """Return status, whole state and the state of Redis."""
        answer = requests.get(f"{self.api.url}/readyz", timeout=30)
        document = answer.json()
        return answer.status_code, document["status"], document["checks"]["redis"]["status"]

    def counts_in_redis(self) -> bool:
        """Tell whether all of many calls at once were counted there."""
        before = self._counted()
        self.read_at_once()
        time.sleep(2 * STRIDE_SECONDS)
        self.read_at_once()  # brings what each process counted by itself
        return self._counted() >= before + MANY

    def _counted(self) -> int:
        keys = self.redis.client.keys("relevo:limits:*user:*")
        return sum(int(self.redis.client.get(key) or 0) for key in keys)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("redis")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(data_dir))
        proxy = stack.enter_context(proxy_to("127.0.0.1", redis.port))
        url = f"redis://127.0.0.1:{proxy.port}/0"
        api = stack.enter_context(serve(data_dir, REDIS_URL=url))
        with api.people.app.app_context():
            alembic_commands().stamp()
            make_site(main=["hello"])
            db.session.remove()
        yield Installation(api, redis, proxy, api.log_in("root")["access_token"])


@pytest.fixture
def healthy(installation: Installation) -> Iterator[Installation]:
    """An installation whose Redis works, and is mended after the test."""
    installation.redis.start()
    installation.proxy.become(Mode.PASS)
    _wait_until(installation.counts_in_redis)
    yield installation
    installation.redis.start()
    installation.proxy.become(Mode.PASS)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not recover"
        time.sleep(0.1)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.SLOW])
def test_without_redis_nobody_waits_and_nothing_fails(healthy: Installation, mode: Mode) -> None:
    assert healthy.readiness() == (200, "ready", "ok")

    healthy.proxy.become(mode)

    for answer in [*healthy.read_at_once(), *healthy.read_at_once()]:
        assert answer.status_code == 200
        assert int(answer.headers["X-RateLimit-Remaining"]) > 0
        assert answer.elapsed.total_seconds() < PATIENCE_SECONDS
    assert healthy.api.log_in("root")["access_token"]
    assert healthy.readiness() == (200, "degraded", "degraded")


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.SLOW])
def test_redis_is_used_again_when_it_is_back(healthy: Installation, mode: Mode) -> None:
    healthy.proxy.become(mode)
    healthy.read_at_once()

    healthy.proxy.become(Mode.PASS)

    _wait_until(healthy.counts_in_redis)
    assert healthy.readiness() == (200, "ready", "ok")


def test_a_connection_that_redis_closed_is_replaced_unnoticed(healthy: Installation) -> None:
    link = RedisLink(healthy.redis.url)
    link.call(lambda client: client.set("counted", 1))

    healthy.redis.client.client_kill_filter(_type="normal", skipme=True)

    assert link.call(lambda client: client.incr("counted")) == 2


@dataclass
class Load:
    """Reads, uploads and promotions by one caller until told to stop."""

    installation: Installation
    answers: list[requests.Response] = field(default_factory=list)
    promoted: list[int] = field(default_factory=list)
    stopped: bool = False

    def read(self) -> None:
        while not self.stopped:
            self.answers.extend([self._call("GET", "/sites"), self._call("GET", "/sites/web")])

    def publish(self) -> None:
        number = 0
        while not self.stopped:
            number += 1
            content = simple_zip(page(f"page {number}"))
            uploaded = self._call("POST", "/sites/web/releases", data=content)
            release = uploaded.json().get("number")
            body = {"to": "main", "release": release}
            moved = self._call("POST", "/sites/web/promotions", json=body)
            self.answers.extend([uploaded, moved])
            self.promoted.append(moved.json().get("number"))

    def _call(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.installation.token}"}
        address = f"{self.installation.api.url}/api/v1{path}"
        return requests.request(method, address, headers=headers, timeout=30, **options)  # type: ignore[arg-type]  # json or data


def test_redis_stopped_and_started_empty_under_load_loses_no_fact(healthy: Installation) -> None:
    load = Load(healthy)
    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(load.read), pool.submit(load.publish)]
        _wait_until(lambda: len(load.promoted) >= 2)
        healthy.redis.stop()
        during = len(load.promoted)
        _wait_until(lambda: len(load.promoted) >= during + 3)
        down = healthy.readiness()
        healthy.redis.start()
        _wait_until(healthy.counts_in_redis)
        load.stopped = True
        for worker in workers:
            worker.result()

    assert down == (200, "degraded", "degraded")
    assert {answer.status_code for answer in load.answers} <= {200, 201}
    with healthy.api.people.app.app_context():
        main = environment("main")
        history = [row.number for row in promotions() if row.environment_id == main.id]
        assert history[-len(load.promoted) :] == load.promoted
        release = main.release
        assert release is not None
        assert site_store().pointer("web", "main") == release.digest
        assert f"page {len(load.promoted)}" in served("main")
        db.session.remove()


def test_an_emptied_redis_revives_no_token_and_forgives_no_guess(healthy: Installation) -> None:
    api = healthy.api
    api.people.user("ana")
    token = api.log_in("ana")["access_token"]
    assert api.call("POST", "/auth/logout", {}, token).status_code == 204
    body = {"username": "guessed", "password": "wrong"}
    guesses = [api.call("POST", "/auth/login", body) for _ in range(12)]
    assert guesses[-1].json()["code"] == "login_throttled"

    healthy.redis.client.flushall()

    assert api.call("GET", "/auth/whoami", token=token).json()["code"] == "token_revoked"
    assert api.call("POST", "/auth/login", body).json()["code"] == "login_throttled"
