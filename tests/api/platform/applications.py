"""Applications with the platform and the probe, in this process or under gunicorn."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from flask import Flask
from sqlalchemy import select

import api
import models.registry
from api.access_tokens import issue_access_token
from config import load_settings
from core import logs, waiting
from core.clock import utc_now
from core.settings import Settings
from models.engine import db, engine_options
from models.roles import Role
from models.users import User
from services.seed_roles import ensure_roles
from services.sessions import open_session
from services.transaction import transaction
from tests import engines
from tests.api.platform import probe

REPOSITORY = Path(__file__).resolve().parents[3]
START_SECONDS = 60
TABLES_MADE = "tests.tables_made"
KEY = "Rk3vQ9wX2mB7nT5yL8cH4jF6dS1pZ0aG"
FIELD_KEY = "W0fGtjF2w9RSxyg9QHjuUQCq9HxQqPqJcAcF3Ygoz9U="
ENVIRONMENT = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": KEY,
    "JWT_KEYS": f"k2:{KEY[::-1]} k1:{KEY}",
    "FIELD_KEYS": FIELD_KEY,
    "API_RATE_LIMIT": "100000/minute",
    "LOG_LEVEL": "INFO",
}


def make_app(data_dir: Path, **environment: str) -> Flask:
    """Make an application with the probe, with production settings unless told otherwise."""
    place = {"DATA_DIR": str(data_dir), **engines.settings_of(data_dir)}
    return _make_app(load_settings({**ENVIRONMENT, **place, **environment}))


def _make_app(settings: Settings) -> Flask:
    assert models.registry.MODELS
    app = Flask("relevo", static_folder=None)
    app.extensions["relevo.settings"] = settings
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
    )
    db.init_app(app)
    waiting.prepare(app, threads=4)
    api.mount(app, extra=[probe.namespace])
    app.add_url_rule("/plain/<kind>", view_func=probe.fail, endpoint="plain")
    return app


def served_app() -> Flask:
    """Make the application that gunicorn serves; everything comes from the environment."""
    settings = load_settings()
    logs.configure(settings)
    return _make_app(settings)


def sign_in(app: Flask, *, username: str = "ana", role: str = "admin") -> str:
    """Make tables and a user where they are missing, and return an access token."""
    with app.app_context():
        if TABLES_MADE not in app.extensions:
            db.create_all()
            ensure_roles()
            app.extensions[TABLES_MADE] = True
        user = db.session.scalar(select(User).where(User.username == username))
        if user is None:
            user = _make_user(username, role)
        session = open_session(user=user, address="127.0.0.1", user_agent="test").session
        token, _ = issue_access_token(
            user_id=user.id,
            session_public_id=session.public_id,
            token_version=user.token_version,
        )
        return token


def _make_user(username: str, role: str) -> User:
    now = utc_now()
    with transaction() as session:
        found = session.scalar(select(Role).where(Role.name == role))
        assert found is not None
        user = User(username=username, role_id=found.id, created_at=now, updated_at=now)
        session.add(user)
    return user


@dataclass(frozen=True)
class Server:
    """A gunicorn with two workers of four threads."""

    url: str
    token: str
    data_dir: Path
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        """The credential of an administrator."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def running_server(data_dir: Path, **environment: str) -> Iterator[Server]:
    """Run gunicorn in production mode until the block ends."""
    token = sign_in(make_app(data_dir, **environment))
    place = {"DATA_DIR": str(data_dir), **engines.settings_of(data_dir)}
    log = data_dir / "gunicorn.log"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        arguments = ["--config", "deploy/gunicorn/web.py", "--workers", "2", "--threads", "4"]
        binding = ["--bind", f"fd://{listener.fileno()}", "--keep-alive", "1"]
        target = "tests.api.platform.applications:served_app()"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", target, *arguments, *binding],
                cwd=REPOSITORY,
                env={"PATH": os.defpath, **ENVIRONMENT, **place, **environment},
                pass_fds=(listener.fileno(),),
                stdout=output,
                stderr=output,
            )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            _wait_for(url, process, log)
            yield Server(url, token, data_dir, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{url}/healthz", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
