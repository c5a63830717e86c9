"""How often one user may listen: the real program, two processes with two places each."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import simple_websocket

from core.waiting import WaitingPlaces
from tests.api.served import Served, serve
from tests.api.streams import Stream, ask
from tests.api.test_event_sockets import connected, ticket
from tests.people import Caller, People

# The client of simple-websocket leaves the socket of a refused handshake to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PROCESSES = 2
TRIES = 40


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("listeners")) as running:
        running.people.user("ana")
        running.people.user("bob")
        yield running


def _listen_as_often_as_possible(served: Served, token: str, stack: ExitStack) -> int:
    """Open streams until both processes refuse; return how many are open."""
    opened = 0
    for _ in range(TRIES):
        answer = ask(served, token)
        stack.callback(answer.close)
        opened += answer.status_code == 200
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert int(answer.headers["Retry-After"]) >= 1
    return opened


def test_one_user_leaves_places_to_others(served: Served) -> None:
    ana, bob = (served.log_in(name)["access_token"] for name in ("ana", "bob"))
    with ExitStack() as stack:
        assert _listen_as_often_as_possible(served, ana, stack) == PROCESSES

        with Stream(served, bob):
            refused = stack.enter_context(connected(served, f"ticket={ticket(served, ana)}"))
            with pytest.raises(simple_websocket.ConnectionClosed) as closed:
                refused.receive(timeout=20)

    assert (closed.value.reason, closed.value.message) == (1013, "rate_limited")


@pytest.mark.parametrize(("limit", "told", "each"), [(2, 0, 1), (16, 0, 4), (0, 0, 1), (16, 9, 9)])
def test_a_user_has_a_quarter_of_the_places_or_what_is_set(
    limit: int, told: int, each: int
) -> None:
    places = WaitingPlaces(limit, told)

    with ExitStack() as stack:
        granted = [stack.enter_context(places.share_of(7)) for _ in range(each + 1)]
        other = stack.enter_context(places.share_of(8))

    assert (granted, other) == ([True] * each + [False], True)
    with places.share_of(7) as again:
        assert again


def test_the_header_wins_over_the_query(people: People) -> None:
    root: Caller = people.caller("root")
    path = "/events?timeout_seconds=0&last_event_id=0"
    behind = root.get(path).text.split("id: ")[-1].split("\n")[0]

    answer = root.get(path, Last_Event_ID=behind)

    assert "event: end" in answer.text
    assert answer.text.count("event: ") == 1
    assert json.loads(answer.text.split("data: ")[1].split("\n")[0]) == {"reason": "timeout"}


def test_a_list_in_a_query_is_named_as_one(people: People) -> None:
    answer = people.caller("root").get("/events?topics=Bad,release.*,WORSE")

    assert [error["pointer"] for error in answer.json["errors"]] == ["?topics"]
