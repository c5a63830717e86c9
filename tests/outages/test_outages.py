"""The database goes away and comes back under a running server in production mode."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import requests
from sqlalchemy import make_url

from cli.migrating import alembic_commands
from core.extensions import site_store
from models.engine import db
from tests.api.served import Served, serve
from tests.engines import SERVERS, server
from tests.factories import make_site
from tests.outages.proxy import Mode, Proxy, proxy_to
from tests.serving.exchange import fetch
from tests.serving.servers import running_gunicorn

# The promise is two seconds; a test that runs beside others must not depend on it so closely.
PATIENCE_SECONDS = 6
RECOVERY_SECONDS = 20
MANY = 12


@dataclass(frozen=True)
class Installation:
    """A running API, the sites beside it, and the way to its database."""

    api: Served
    proxy: Proxy
    token: str
    sites_port: int

    def read(self) -> requests.Response:
        """Call something that needs the database."""
        return self.api.call("GET", "/sites", token=self.token)

    def read_at_once(self) -> list[requests.Response]:
        """Call it many times at the same moment."""
        with ThreadPoolExecutor(MANY) as pool:
            return list(pool.map(lambda _: self.read(), range(MANY)))

    def outside(self, path: str) -> requests.Response:
        """Call something outside of the base path."""
        return requests.get(f"{self.api.url}{path}", timeout=30)

    def visit(self) -> bytes:
        """Return what a visitor of the site gets."""
        return fetch(self.sites_port, "/", host="web.localhost").body


@pytest.fixture(scope="module", params=list(SERVERS))
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("outage")
    home = server(request.param)
    database = home.create()
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_to(home.url.host or "", home.url.port or 0))
        address = make_url(home.address(database)).set(host="127.0.0.1", port=proxy.port)
        url = address.render_as_string(hide_password=False)
        api = stack.enter_context(serve(data_dir, DATABASE_URL=url))
        with api.people.app.app_context():
            alembic_commands().stamp()
            make_site(main=["hello"])
            root = site_store().layout.root
            db.session.remove()
            db.engine.dispose()
        sites_port = stack.enter_context(running_gunicorn(root, data_dir))
        token = api.log_in("root")["access_token"]
        yield Installation(api, proxy, token, sites_port)
    home.drop(database)


@pytest.fixture
def healthy(installation: Installation) -> Iterator[Installation]:
    """An installation that works, and is mended after the test."""
    installation.proxy.become(Mode.PASS)
    _wait_until_it_works(installation)
    yield installation
    installation.proxy.become(Mode.PASS)


def _wait_until_it_works(installation: Installation) -> None:
    """Each of the two workers finds out for itself."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not all(answer.status_code == 200 for answer in installation.read_at_once()):
        assert time.monotonic() < deadline, "it did not recover"
        time.sleep(0.1)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG])
def test_an_outage_is_503_and_soon_and_sites_keep_serving(
    healthy: Installation, mode: Mode
) -> None:
    assert all(answer.status_code == 200 for answer in healthy.read_at_once())

    healthy.proxy.become(mode)

    for answer in [*healthy.read_at_once(), *healthy.read_at_once()]:
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.elapsed.total_seconds() < PATIENCE_SECONDS
    assert healthy.outside("/healthz").status_code == 200
    ready = healthy.outside("/readyz")
    assert ready.status_code == 503
    assert ready.elapsed.total_seconds() < PATIENCE_SECONDS
    assert b"hello" in healthy.visit()


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG])
def test_it_recovers_by_itself(healthy: Installation, mode: Mode) -> None:
    healthy.proxy.become(mode)
    assert healthy.read().status_code == 503

    healthy.proxy.become(Mode.PASS)

    _wait_until_it_works(healthy)
    assert healthy.outside("/readyz").status_code == 200
    slug = f"after-{mode}"
    made = healthy.api.call("POST", "/sites", {"slug": slug, "name": "x"}, token=healthy.token)
    assert made.status_code == 201


def test_connections_that_were_cut_are_replaced_unnoticed(healthy: Installation) -> None:
    healthy.read_at_once()

    healthy.proxy.cut()

    assert all(answer.status_code == 200 for answer in healthy.read_at_once())


def test_nothing_that_was_sent_is_repeated_in_the_log(healthy: Installation) -> None:
    healthy.proxy.become(Mode.REFUSE)
    password = "canary velvet 4711 crane"
    healthy.api.call("POST", "/auth/login", {"username": "canary-4712", "password": password})

    log = healthy.api.log.read_text()

    assert "canary" not in log
    assert "Traceback" not in log or "OperationalError" in log
