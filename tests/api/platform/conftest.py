"""Fixtures of the platform's tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.platform.applications import Server, make_app, running_server, sign_in


@dataclass(frozen=True)
class Caller:
    """A client that sends a credential with every call."""

    client: FlaskClient
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The credential."""
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    made = make_app(tmp_path_factory.mktemp("data"))
    sign_in(made)  # makes the tables
    return made


@pytest.fixture
def caller(app: Flask) -> Caller:
    return Caller(app.test_client(), sign_in(app))


@pytest.fixture
def empty_caller(tmp_path: Path) -> Caller:
    """A caller of an application in which nothing was made yet."""
    fresh = make_app(tmp_path)
    return Caller(fresh.test_client(), sign_in(fresh))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("served")) as running:
        yield running
