"""A sites folder with one site, and clients that talk to it as `web.localhost`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client, TestResponse

from config import load_settings
from serving.app import create_sites_app
from tests.serving.servers import running_gunicorn
from tests.serving.trees import write_site, write_variants

LONG_PAGE = b"<!doctype html><title>About</title><p>All about it.</p>" * 40

FILES = {
    "index.html": b"<!doctype html><title>Home</title>",
    "about.html": LONG_PAGE,
    "404.html": b"<!doctype html><title>Nothing here</title>",
    "docs/index.html": b"<!doctype html><title>Docs</title>",
    "docs/setup.html": b"<!doctype html><title>Setup</title>",
    "both.html": b"page",
    "both/index.html": b"folder",
    "no-index/file.txt": b"text",
    "two words/index.html": b"folder with a space",
    "grün.html": "grün".encode(),
    "assets/app.3f2a9c1b.js": b"let a = 1",
    "assets/index-BxY3kd9Q.js": b"let b = 1",
    "assets/logo.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 40,
    "style.css": b"p { color: teal }",
    "data.json": b"{}",
    "empty.txt": b"",
    "LICENSE": b"as you like",
    "noise.bin": bytes(range(256)) * 8,
    ".env": b"SECRET=1",
    ".git/config": b"[core]",
    "docs/.draft.html": b"draft",
    ".well-known/security.txt": b"Contact: mailto:a@example.org",
    ".well-known/.hidden": b"hidden",
}


class Visitor:
    """Sends requests to the application in this process."""

    def __init__(self, root: Path) -> None:
        settings = {"ENVIRONMENT": "development", "SITES_ROOT": str(root), "DATA_DIR": str(root)}
        self._client = Client(create_sites_app(load_settings(settings)))

    def get(self, path: str, *, host: str = "web.localhost", **headers: str) -> TestResponse:
        """GET; headers are written like `if_none_match`."""
        return self.send("GET", path, host=host, **headers)

    def send(
        self, method: str, path: str, *, host: str = "web.localhost", **headers: str
    ) -> TestResponse:
        """Send any method."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.open(path, method=method, headers={"Host": host, **named})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty sites folder."""
    folder = tmp_path / "sites"
    folder.mkdir()
    return folder


@pytest.fixture
def site(root: Path) -> str:
    """The digest of FILES, served as main, test and by itself."""
    digest = write_site(root, FILES)
    write_variants(root, LONG_PAGE)
    return digest


@pytest.fixture
def visitor(root: Path) -> Visitor:
    """A visitor of whatever is in `root`."""
    return Visitor(root)


@pytest.fixture
def gunicorn_port(root: Path, tmp_path: Path) -> Iterator[int]:
    """Port of the shipped entry point under gunicorn, serving `root`."""
    with running_gunicorn(root, tmp_path) as port:
        yield port
