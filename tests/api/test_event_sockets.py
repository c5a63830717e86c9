"""Events over WebSockets, from the real program."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import simple_websocket
from simple_websocket import Client, ConnectionClosed

from models.engine import db
from tests.api.served import Served, serve
from tests.api.streams import OPEN_SECONDS
from tests.factories import make_site

# The client of simple-websocket leaves the socket of a refused handshake to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ORIGIN = "https://app.example.org"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = {"CORS_ORIGINS": ORIGIN, "MAX_LISTENERS_PER_USER": "2"}
    with serve(tmp_path_factory.mktemp("sockets"), **options) as running:
        running.people.user("ana")
        running.people.user("eve")
        with running.people.app.app_context():
            make_site("web", ana="owner")
            make_site("shop", eve="owner")
            db.session.remove()
        yield running


@pytest.fixture
def ana(served: Served) -> str:
    return served.log_in("ana")["access_token"]


def ticket(served: Served, token: str) -> str:
    answer = served.call("POST", "/events/ticket", {}, token)
    assert answer.status_code == 200
    found: str = answer.json()["ticket"]
    return found


@contextmanager
def connected(served: Served, query: str, **headers: str) -> Iterator[Client]:
    """Open a socket, coming back while all places are taken."""
    deadline = time.monotonic() + OPEN_SECONDS
    url = f"{served.url.replace('http', 'ws')}/api/v1/ws?{query}"
    client = None
    while client is None:
        try:
            client = Caller.connect(url, headers=headers, thread_class=Daemon)
        except simple_websocket.ConnectionError as error:
            if error.status_code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    try:
        yield client
    finally:
        if client.connected:
            client.close()
        client.thread.join(OPEN_SECONDS)


class Caller(Client):  # type: ignore[misc]  # simple_websocket is untyped
    receive_bytes: int

    def handshake(self) -> None:
        # What came with the end of the handshake would wait for more, and a close be lost.
        wanted, self.receive_bytes = self.receive_bytes, 1
        super().handshake()
        self.receive_bytes = wanted


class Daemon(threading.Thread):
    def __init__(self, target: Any) -> None:
        super().__init__(target=target, daemon=True)


def message(client: Client) -> dict[str, Any]:
    text = client.receive(timeout=OPEN_SECONDS)
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    return found


def closed(client: Client) -> tuple[int, str | None]:
    """Wait until the server closes, and return code and reason."""
    with pytest.raises(ConnectionClosed) as caught:
        while client.receive(timeout=OPEN_SECONDS) is not None:
            pass
    return int(caught.value.reason), caught.value.message


def rename(served: Served, slug: str) -> None:
    root = served.log_in("root")["access_token"]
    body = {"name": f"at {time.monotonic()}"}
    assert served.call("PATCH", f"/sites/{slug}", body, root, If_Match="*").status_code == 200


def test_a_ticket_opens_a_socket_that_tells_what_may_be_known(served: Served, ana: str) -> None:
    with connected(served, f"ticket={ticket(served, ana)}&topics=site.*") as client:
        ready = message(client)
        rename(served, "shop")
        rename(served, "web")
        told = message(client)

    assert ready["event"] == "ready"
    assert (told["event"], told["data"]["site"]) == ("site.updated", "web")
    assert int(told["id"]) > int(ready["id"])


def test_a_socket_goes_on_behind_the_last_event(served: Served, ana: str) -> None:
    with connected(served, f"ticket={ticket(served, ana)}&limit=1") as client:
        message(client)
        rename(served, "web")
        last = message(client)["id"]
        assert closed(client) == (1000, "limit")
    rename(served, "web")

    query = f"ticket={ticket(served, ana)}&last_event_id={last}&topics=site.*"
    with connected(served, query) as client:
        message(client)
        assert int(message(client)["id"]) > int(last)


def test_a_ticket_is_good_once(served: Served, ana: str) -> None:
    used = ticket(served, ana)
    with connected(served, f"ticket={used}") as client:
        message(client)

    with connected(served, f"ticket={used}") as client:
        assert closed(client) == (4401, "token_invalid")


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=invented"])
def test_without_a_ticket_nothing_is_told(served: Served, query: str) -> None:
    with connected(served, query) as client:
        assert closed(client) == (4401, "token_invalid")


def test_a_ticket_ends_with_its_session(served: Served, ana: str) -> None:
    late = ticket(served, ana)
    with connected(served, f"ticket={ticket(served, ana)}") as client:
        message(client)
        assert served.call("POST", "/auth/logout", {}, ana).status_code == 204

        assert closed(client) == (4401, "token_revoked")
    with connected(served, f"ticket={late}") as client:
        assert closed(client)[0] == 4401


def test_a_ticket_carries_the_limits_of_its_token(served: Served, ana: str) -> None:
    order = {"name": "limited", "scopes": ["requests:read"]}
    made = served.call("POST", "/tokens", order, ana).json()
    with connected(served, f"ticket={ticket(served, made['token'])}&site=web") as client:
        assert closed(client) == (4403, "scope_missing")
    with connected(served, f"ticket={ticket(served, made['token'])}") as client:
        message(client)
        assert served.call("DELETE", f"/tokens/{made['id']}", None, ana).status_code == 204

        assert closed(client) == (4401, "token_revoked")


def test_a_foreign_site_is_not_told_of(served: Served, ana: str) -> None:
    with connected(served, f"ticket={ticket(served, ana)}&site=shop") as client:
        assert closed(client) == (4403, "not_found")


def test_another_role_closes_the_socket(served: Served) -> None:
    served.people.user("kim")
    kim = served.log_in("kim")["access_token"]
    root = served.log_in("root")["access_token"]
    with connected(served, f"ticket={ticket(served, kim)}") as client:
        message(client)
        changed = served.call("PATCH", "/users/kim", {"role": "auditor"}, root, If_Match="*")
        assert changed.status_code == 200

        assert closed(client) == (4403, "rights_changed")


@pytest.mark.parametrize("size", [1, 100_000])
def test_whoever_sends_something_is_sent_away(served: Served, ana: str, size: int) -> None:
    with connected(served, f"ticket={ticket(served, ana)}") as client:
        message(client)
        client.send("x" * size)

        assert closed(client)[0] in (1003, 1009)


def test_pages_of_other_origins_may_not_listen(served: Served, ana: str) -> None:
    url = f"{served.url}/api/v1/ws?ticket={ticket(served, ana)}"

    refused = requests.get(url, headers={**HANDSHAKE, "Origin": "https://evil.test"}, timeout=10)

    assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
    with connected(served, f"ticket={ticket(served, ana)}", Origin=ORIGIN) as client:
        assert message(client)["event"] == "ready"
    own = "http://127.0.0.1"  # this client leaves the port out of Host too
    with connected(served, f"ticket={ticket(served, ana)}", Origin=own) as client:
        assert message(client)["event"] == "ready"


@pytest.mark.parametrize("left_out", ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_what_is_no_handshake_is_refused(served: Served, left_out: str) -> None:
    headers = {name: value for name, value in HANDSHAKE.items() if name != left_out}

    answer = requests.get(f"{served.url}/api/v1/ws", headers=headers, timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"


def test_sockets_and_streams_share_the_places_and_give_them_back(served: Served, ana: str) -> None:
    for _ in range(12):
        with connected(served, f"ticket={ticket(served, ana)}") as client:
            message(client)

    with connected(served, f"ticket={ticket(served, ana)}") as client:
        message(client)
    assert "Traceback" not in served.log.read_text()
