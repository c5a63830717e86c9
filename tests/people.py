"""Installations with people in them, made directly, so that a test says only what matters."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.access_tokens import issue_access_token
from app import create_app
from config import load_settings
from core.clock import utc_now
from core.settings import Settings
from core.waiting import waiting_places
from models.engine import Base, db
from models.kept import kept
from models.roles import Role
from models.sites import Membership, Site
from models.users import User
from services.actors import Actor
from services.passwords import hash_password
from services.permissions import SHIPPED_ROLES, RoleKind
from services.seed_roles import ensure_roles
from services.sessions import actor_for_session, open_session
from services.tokens import TokenOrder, TokenView, create
from services.transaction import end_reading, transaction
from tests import engines

PASSWORD = "velvet tortoise 81 crane"
OTHER_PASSWORD = "orchid tractor 99 lamp"
ADDRESS = "127.0.0.1"
KEY = "Rk3vQ9wX2mB7nT5yL8cH4jF6dS1pZ0aG"
FIELD_KEY = "W0fGtjF2w9RSxyg9QHjuUQCq9HxQqPqJcAcF3Ygoz9U="
ENVIRONMENT = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": KEY,
    "JWT_KEYS": f"k1:{KEY[::-1]}",
    "FIELD_KEYS": FIELD_KEY,
    "API_RATE_LIMIT": "1000000/minute",
    "LOG_LEVEL": "WARNING",
}
KEPT = ("run", "run/metrics", "sites", "sites/.blobs")
"""The counters of this process, which it holds open, and 256 folders for blobs."""
GLOBAL_ROLES = tuple(role.name for role in SHIPPED_ROLES if role.kind is RoleKind.GLOBAL)
SITE_ROLES = tuple(role.name for role in SHIPPED_ROLES if role.kind is RoleKind.SITE)


class Answer(TestResponse):
    """A response whose JSON can be looked into without asking for None first."""

    @property
    def json(self) -> Any:
        return self.get_json()


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API with one credential."""

    client: FlaskClient
    credential: str | None = None

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Call a path below the base path; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.credential is not None:
            sent.setdefault("Authorization", f"Bearer {self.credential}")
        answer = self.client.open(
            f"/api/v1{path}", method=method, json=body, headers=sent, buffered=True
        )
        return cast("Answer", answer)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.call("POST", path, body or {}, **headers)

    def put(self, path: str, body: object, **headers: str) -> Answer:
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: object, **headers: str) -> Answer:
        headers.setdefault("If_Match", "*")
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, **headers)


@dataclass(frozen=True)
class People:
    """One installation and whoever is needed in it."""

    app: Flask

    @property
    def data_dir(self) -> Path:
        """The folder in which everything of this installation lies."""
        settings = self.app.extensions["relevo.settings"]
        assert isinstance(settings, Settings)
        return settings.data_dir

    @property
    def nobody(self) -> Caller:
        """Somebody without a credential."""
        return Caller(self.app.test_client())

    def user(self, username: str, role: str = "member", **columns: Any) -> User:
        """Make a user with PASSWORD."""
        now = utc_now()
        with self.app.app_context(), transaction() as session:
            user = User(
                username=username,
                role=session.scalars(select(Role).where(Role.name == role)).one(),
                contact=None,
                **{
                    "email": f"{username}@example.org",
                    "password_hash": _password_hash(),
                    "created_at": now,
                    "updated_at": now,
                    **columns,
                },
            )
            session.add(user)
        return user

    def caller(self, username: str, role: str | None = None) -> Caller:
        """Return a signed-in user, made when `role` is given."""
        if role is not None:
            self.user(username, role)
        with self.app.app_context():
            return Caller(self.app.test_client(), self._access_token(username))

    def actor(self, username: str, role: str | None = None) -> Actor:
        """Return a signed-in user as services see them; needs an application context."""
        if role is not None:
            self.user(username, role)
        user = find(username)
        session = open_session(user=user, address=ADDRESS, user_agent="test").session
        return actor_for_session(
            session_public_id=session.public_id,
            user_id=user.id,
            token_version=user.token_version,
            address=ADDRESS,
            request_id="request-1",
        )

    def token(self, username: str, **order: Any) -> TokenView:
        """Make an API token of a user."""
        with self.app.app_context():
            wanted = TokenOrder(**{"name": "test", **order})
            return create(actor=self.actor(username), order=wanted)

    def token_caller(self, username: str, **order: Any) -> Caller:
        """Return somebody who calls with a new API token of a user."""
        return Caller(self.app.test_client(), self.token(username, **order).token)

    def site(self, slug: str, **members: str) -> Site:
        """Make a site row with members: `site("web", ana="owner")`."""
        now = utc_now()
        with self.app.app_context(), transaction() as session:
            site = Site(slug=slug, name=slug, created_at=now, updated_at=now)
            session.add(site)
        self.members(slug, **members)
        return site

    def members(self, slug: str, **members: str) -> None:
        """Give users roles on a site: `members("web", ana="owner")`."""
        with self.app.app_context(), transaction() as session:
            site = session.scalars(select(Site).where(Site.slug == slug)).one()
            for username, role in members.items():
                session.add(
                    Membership(
                        site=site,
                        user=find(username),
                        role=session.scalars(select(Role).where(Role.name == role)).one(),
                        created_at=utc_now(),
                    )
                )

    def _access_token(self, username: str) -> str:
        user = find(username)
        session = open_session(user=user, address=ADDRESS, user_agent="test").session
        token, _ = issue_access_token(
            user_id=user.id,
            session_public_id=session.public_id,
            token_version=user.token_version,
        )
        return token


def find(username: str) -> User:
    """Return a user as the database has it now; needs an application context."""
    end_reading()
    query = select(User).where(User.username == username)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def make_people(data_dir: Path, **environment: str) -> People:
    """Make an installation with the shipped roles and one administrator, `root`."""
    place = {"DATA_DIR": str(data_dir), **engines.settings_of(data_dir)}
    app = create_app(load_settings({**ENVIRONMENT, **place, **environment}))
    people = People(app)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        ensure_roles()
    people.user("root", "admin")
    return people


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a fresh installation, whose database is to be copied."""
    data_dir = tmp_path_factory.mktemp("template")
    people = make_people(data_dir)
    with people.app.app_context():
        db.engine.dispose()
    return data_dir


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of every test's installation, one after the other."""
    return tmp_path_factory.mktemp("home")


@lru_cache(maxsize=4)
def _app_of(data_dir: Path, place: tuple[tuple[str, str], ...]) -> Flask:
    """Return the application on a data folder; making one costs more than most tests do."""
    return create_app(load_settings({**ENVIRONMENT, "DATA_DIR": str(data_dir), **dict(place)}))


def _empty(home: Path) -> None:
    """Delete everything but KEPT."""
    patterns = ("*", ".*", "run/*", "sites/*", "sites/.*", "sites/.blobs/*/*")
    for path in [path for pattern in patterns for path in home.glob(pattern)]:
        if path.is_symlink() or not path.is_dir():
            # SQLite takes the files beside its own with it when the last connection ends.
            path.unlink(missing_ok=True)
        elif str(path.relative_to(home)) not in KEPT:
            shutil.rmtree(path)


@contextmanager
def _extensions_kept(app: Flask) -> Iterator[None]:
    """Undo what a test registers on the application."""
    before = {
        name: dict(value) if type(value) is dict else value
        for name, value in app.extensions.items()
    }
    yield
    app.extensions.clear()
    app.extensions.update(before)


@pytest.fixture
def people(template: Path, home: Path) -> Iterator[People]:
    """A fresh installation."""
    _empty(home)
    engines.copy_database(template, home)
    people = People(_app_of(home, tuple(engines.settings_of(home).items())))
    with _extensions_kept(people.app):
        yield people
    with people.app.app_context():
        db.session.remove()
        kept.close()  # or it is open still when its file makes place for the next test's
        db.engine.dispose()
        # Nobody waits any more: the next test has the same application.
        assert waiting_places().taken == 0
    engines.give_back_database(home)


@pytest.fixture
def own_people(template: Path, tmp_path: Path) -> Iterator[People]:
    """A fresh installation in `tmp_path` with an application of its own."""
    engines.copy_database(template, tmp_path)
    people = People(_app_of.__wrapped__(tmp_path, tuple(engines.settings_of(tmp_path).items())))
    yield people
    with people.app.app_context():
        db.session.remove()
        kept.close()  # or it is open still when its file makes place for the next test's
        db.engine.dispose()
    engines.give_back_database(tmp_path)


@pytest.fixture
def inside(people: People) -> Iterator[People]:
    """A fresh installation with its application context open, for calling services."""
    with people.app.app_context():
        yield people


@lru_cache(maxsize=1)
def _password_hash() -> str:
    return hash_password(PASSWORD)
