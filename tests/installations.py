"""Whole installations with migrated tables, on any engine, to be saved and restored."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import Client

from app import create_app
from cli.migrating import alembic_commands
from config import load_settings
from models.engine import db
from models.environments import Domain
from services import hosts, installation_backups, installation_restores
from services.actors import cli_actor
from services.installation_backups import CreatedBackup
from services.installation_restores import RestoredInstallation
from services.seed_roles import ensure_roles
from services.transaction import transaction
from serving.app import create_sites_app
from tests.engines import FILE, SQLITE, server
from tests.factories import environment, make_site, promote, upload
from tests.people import ENVIRONMENT, People

FILES = {
    "index.html": b"<h1>home</h1>",
    "about.html": b"about " * 300,
    "style.css": b"p { color: teal }",
    "noise.bin": bytes(range(256)) * 8,
    "empty.txt": b"",
    "docs/index.html": "grün".encode(),
    "copy-of-home.html": b"<h1>home</h1>",
}
PATHS = ("/", "/about", "/style.css", "/noise.bin", "/empty.txt", "/docs/", "/gone")
HOSTS = ("web.localhost", "test--web.localhost", "second.localhost", "www.example.org")


@contextmanager
def installation(data_dir: Path, engine_name: str = SQLITE, **environment: str) -> Iterator[Flask]:
    """Yield an application with its context open; the database may be empty.

    On a server it gets a database of its own, which is dropped afterwards.
    """
    home = None if engine_name == SQLITE else server(engine_name)
    database = home.create() if home else None
    url = f"sqlite:///{data_dir / FILE}" if home is None else home.address(str(database))
    place = {"DATA_DIR": str(data_dir), "DATABASE_URL": url}
    app = create_app(load_settings({**ENVIRONMENT, **place, **environment}))
    try:
        with app.app_context():
            yield app
            db.session.remove()
            db.engine.dispose()
    finally:
        if home and database:
            home.drop(database)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a fresh installation on SQLite, to be copied."""
    data_dir = tmp_path_factory.mktemp("migrated")
    with installation(data_dir):
        alembic_commands().upgrade()
        ensure_roles()
    return data_dir


@pytest.fixture
def source(migrated: Path, tmp_path: Path) -> Iterator[Flask]:
    """A fresh installation on SQLite with its context open."""
    data_dir = tmp_path / "source"
    data_dir.mkdir(mode=0o700)
    shutil.copy(migrated / FILE, data_dir / FILE)
    with installation(data_dir) as app:
        yield app


def fill(app: Flask) -> None:
    """Make users, sites, releases, promotions, tokens and sessions."""
    people = People(app)
    people.user("root", "admin")
    people.user("zoë", "member", totp_secret="secret")
    make_site(root="owner")
    first = upload(FILES, message="first", commit="4f2a91c")
    promote(first)
    promote(upload({**FILES, "index.html": b"<h1>second</h1>"}))
    upload({**FILES, "index.html": b"<h1>third</h1>"})
    make_site("second", main=["one", "two"])
    with transaction() as session:
        session.add(Domain(environment_id=environment().id, host="www.example.org"))
    hosts.sync()
    people.token("root", sites=["web"], scopes=["sites:read"])
    people.caller("root")


def save(target: Path | None = None) -> CreatedBackup:
    """Save the open installation."""
    return installation_backups.create(actor=cli_actor(), target=target)


def restore(path: Path | str, *, keep_sessions: bool = True) -> RestoredInstallation:
    """Restore into the open installation."""
    return installation_restores.restore(
        actor=cli_actor(),
        path=Path(path),
        migrate=lambda revision: alembic_commands().upgrade(revision=revision),
        keep_sessions=keep_sessions,
    )


@dataclass(frozen=True)
class Served:
    """What one visitor got."""

    status: int
    etag: str | None
    release: str | None
    body: bytes


def served(app: Flask) -> dict[tuple[str, str], Served]:
    """Return what the sites process answers to visitors of every host."""
    visitor = Client(create_sites_app(app.extensions["relevo.settings"]))
    found = {}
    for host in HOSTS:
        for path in PATHS:
            answer = visitor.get(path, headers={"Host": host})
            headers = answer.headers
            found[host, path] = Served(
                answer.status_code, headers.get("ETag"), headers.get("X-Release"), answer.data
            )
    return found
