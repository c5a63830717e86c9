"""Two API nodes with folders of their own on one PostgreSQL and one Redis."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.api.served import Served, serve, serve_people
from tests.engines import POSTGRESQL, server
from tests.outages.redis_server import RedisServer, redis_server


@dataclass(frozen=True)
class Nodes:
    """The two nodes, which share rows and Redis, and nothing else."""

    here: Served
    there: Served
    redis: RedisServer


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    home = server(POSTGRESQL)
    database = home.create()
    folder = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        place = {"DATABASE_URL": home.address(database), "REDIS_URL": redis.url}
        here = stack.enter_context(serve(folder / "here", **place))
        there = stack.enter_context(serve_people(here.people, folder / "there", **place))
        yield Nodes(here, there, redis)
    home.drop(database)
