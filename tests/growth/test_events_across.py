"""What happens at one node is told at the other."""

from collections.abc import Iterator

import pytest

from tests.api.streams import Stream
from tests.growth.conftest import Nodes

pytestmark = pytest.mark.service


@pytest.fixture
def token(nodes: Nodes) -> Iterator[str]:
    yield nodes.here.log_in("root")["access_token"]
    nodes.redis.start()


def make_site(nodes: Nodes, token: str, slug: str) -> None:
    answer = nodes.here.call("POST", "/sites", {"slug": slug, "name": "x"}, token)
    assert answer.status_code == 201


def test_an_event_crosses_from_one_node_to_the_other(nodes: Nodes, token: str) -> None:
    with Stream(nodes.there, token, "topics=site.created") as stream:
        make_site(nodes, token, "crossing")

        assert stream.next().data["site"] == "crossing"


def test_events_cross_while_redis_is_down_and_when_it_is_back(nodes: Nodes, token: str) -> None:
    with Stream(nodes.there, token, "topics=site.created") as stream:
        nodes.redis.stop()
        make_site(nodes, token, "without")
        without = stream.next().data["site"]
        nodes.redis.start()
        make_site(nodes, token, "again")
        again = stream.next().data["site"]

    assert (without, again) == ("without", "again")
