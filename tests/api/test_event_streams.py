"""Streams that stay open, from the real program: two processes, each with two places to wait."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from statistics import median
from urllib.parse import urlsplit

import jwt
import pytest

from models.engine import db
from tests.api.served import Served, serve
from tests.api.streams import Message, Stream, ask
from tests.factories import make_site

PLACES = 4
PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("streams"), MAX_LISTENERS_PER_USER="2") as running:
        for name in ("ana", "bob", "eve"):
            running.people.user(name)
        with running.people.app.app_context():
            make_site("web", main=["one"], ana="owner", bob="reader")
            make_site("shop", eve="owner")
            db.session.remove()
        yield running


@pytest.fixture
def root(served: Served) -> str:
    return served.log_in("root")["access_token"]


def rename(served: Served, token: str, slug: str = "web") -> None:
    """Make something happen on a site."""
    body = {"name": f"at {time.monotonic()}"}
    answer = served.call("PATCH", f"/sites/{slug}", body, token, If_Match="*")
    assert answer.status_code == 200


def open_streams(served: Served, token: str, stack: ExitStack, number: int) -> list[Stream]:
    """Open several streams."""
    return [stack.enter_context(Stream(served, token)) for _ in range(number)]


def test_an_event_reaches_the_listeners_of_all_processes(served: Served, root: str) -> None:
    with ExitStack() as stack:
        streams = open_streams(served, root, stack, PLACES)

        rename(served, root)

        assert {stream.next().event for stream in streams} == {"site.updated"}


def test_a_listener_that_comes_back_misses_nothing_and_hears_nothing_twice(
    served: Served, root: str
) -> None:
    heard: list[Message] = []
    with Stream(served, root, "limit=1") as stream:
        rename(served, root)
        heard.append(stream.next())
    rename(served, root)
    rename(served, root)

    with Stream(served, root, "limit=3", **{"Last-Event-ID": heard[0].id or ""}) as stream:
        rename(served, root)
        rest = stream.rest()

    numbers = [int(message.id or "") for message in [*heard, *rest[:-1]]]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert rest[-1].data == {"reason": "limit"}


def test_a_listener_hears_only_of_its_own_site(served: Served, root: str) -> None:
    eve = served.log_in("eve")["access_token"]
    with Stream(served, eve) as stream:
        rename(served, root, "web")
        rename(served, root, "shop")

        assert stream.next().data["site"] == "shop"


def test_a_logout_ends_the_stream(served: Served) -> None:
    ana = served.log_in("ana")["access_token"]
    with Stream(served, ana) as stream:
        assert served.call("POST", "/auth/logout", {}, ana).status_code == 204

        assert stream.until_end() == "token_revoked"


def test_a_revoked_token_ends_the_stream(served: Served) -> None:
    ana = served.log_in("ana")["access_token"]
    order = {"name": "listener", "scopes": ["sites:read"]}
    made = served.call("POST", "/tokens", order, ana).json()
    with Stream(served, made["token"]) as stream:
        assert served.call("DELETE", f"/tokens/{made['id']}", None, ana).status_code == 204

        assert stream.until_end() == "token_revoked"


def test_another_role_ends_the_stream(served: Served, root: str) -> None:
    served.people.user("kim")
    kim = served.log_in("kim")["access_token"]
    with Stream(served, kim) as stream:
        changed = served.call("PATCH", "/users/kim", {"role": "auditor"}, root, If_Match="*")
        assert changed.status_code == 200

        assert stream.until_end() == "rights_changed"


def test_the_end_of_a_membership_ends_the_stream_of_that_site(served: Served, root: str) -> None:
    bob = served.log_in("bob")["access_token"]
    with Stream(served, bob, "site=web") as stream:
        gone = served.call("DELETE", "/sites/web/members/bob", None, root)
        assert gone.status_code == 204

        assert stream.until_end() == "rights_changed"


def test_an_access_token_that_expires_ends_the_stream(served: Served) -> None:
    settings = served.people.app.extensions["relevo.settings"]
    pair = served.log_in("ana")
    token = _expiring_soon(pair["access_token"], settings.jwt_keys[0].partition(":")[2])
    with Stream(served, token) as stream:
        assert stream.until_end() == "token_expired"


def _expiring_soon(token: str, key: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["exp"] = int(time.time()) + 3
    return jwt.encode(claims, key, algorithm="HS256", headers=jwt.get_unverified_header(token))


class SlowListener:
    """Asks for a stream and reads nothing of it."""

    def __init__(self, served: Served, token: str) -> None:
        address = urlsplit(served.url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 0))
        lines = ["GET /api/v1/events HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())

    def status(self) -> int:
        """Wait for the answer to begin and return its status."""
        assert select.select([self._socket], [], [], PATIENCE_SECONDS)[0]
        return int(self._socket.recv(12, socket.MSG_PEEK).split()[1])

    def close(self) -> None:
        self._socket.close()


def test_many_slow_listeners_starve_nobody_and_leave_no_thread_behind(
    served: Served, root: str
) -> None:
    with ExitStack() as stack:
        _fill_with_slow_listeners(served, root, stack)
        more = [stack.enter_context(closing(SlowListener(served, root))) for _ in range(20)]
        assert {listener.status() for listener in more} == {503}

        times = [_seconds_of_a_call(served, root) for _ in range(40)]
        refused = ask(served, root)

        assert median(times) < PATIENCE_SECONDS / 10
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
    with ExitStack() as stack:
        assert len(open_streams(served, root, stack, PLACES)) == PLACES


def _fill_with_slow_listeners(served: Served, token: str, stack: ExitStack) -> None:
    """Take the places of all processes; which process is asked is left to chance."""
    taken = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while taken < PLACES:
        assert time.monotonic() < deadline
        listener = stack.enter_context(closing(SlowListener(served, token)))
        taken += listener.status() == 200


def _seconds_of_a_call(served: Served, token: str) -> float:
    answer = served.call("GET", "/sites", token=token)
    assert answer.status_code == 200
    return answer.elapsed.total_seconds()
