"""One installation for each module; its servers are ended whatever happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.server import Server


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """An installation that `relevo setup` has just made."""
    server = Server(tmp_path_factory.mktemp("operations") / "data")
    outcome = server.run("setup")
    assert outcome.returncode == 0, outcome.stderr
    return server


@pytest.fixture
def server(installation: Server) -> Iterator[Server]:
    """The installation, not yet started."""
    yield installation
    installation.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is started once, for tests that leave it running."""
    server = Server(tmp_path_factory.mktemp("running") / "data")
    assert server.run("setup").returncode == 0
    server.start()
    yield server
    server.kill()


@pytest.fixture
def empty_dir(tmp_path: Path) -> Path:
    """A DATA_DIR that does not exist yet."""
    return tmp_path / "data"
