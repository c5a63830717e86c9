"""How many connections a call takes: one for what it reads, and none is left behind.

A thread keeps the one for single statements, and it was taken before anything is counted. To a
server it goes back before a session takes one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from models.engine import db
from tests import engines
from tests.people import Caller, People

BESIDE_THE_KEPT_ONE = 1 if engines.CHOSEN == engines.SQLITE else 0


class Taken:
    """What was taken from the pool of connections."""

    def __init__(self) -> None:
        self.times = self.now = self.most = 0

    def take(self, *_details: object) -> None:
        self.times += 1
        self.now += 1
        self.most = max(self.most, self.now)

    def give_back(self, *_details: object) -> None:
        self.now -= 1


@contextmanager
def counted(people: People) -> Iterator[Taken]:
    """Count while something is called."""
    taken = Taken()
    with people.app.app_context():
        pool = db.engine.pool
    event.listen(pool, "checkout", taken.take)
    event.listen(pool, "checkin", taken.give_back)
    yield taken
    event.remove(pool, "checkout", taken.take)
    event.remove(pool, "checkin", taken.give_back)


@pytest.fixture
def root(people: People) -> Caller:
    people.site("web", root="owner")
    root = people.caller("root")
    assert root.get("/sites").status_code == 200
    return root


@pytest.mark.parametrize("path", ["/sites", "/sites/web", "/sites?q=w&page=7"])
def test_a_reading_call_takes_one_connection_at_most(
    people: People, root: Caller, path: str
) -> None:
    with counted(people) as taken:
        assert root.get(path).status_code == 200

    assert (taken.times, taken.now) == (0, 0)


@pytest.mark.parametrize("path", ["/sites/web/members", "/sites/web/environments", "/auth/whoami"])
def test_a_call_never_holds_two(people: People, root: Caller, path: str) -> None:
    with counted(people) as taken:
        assert root.get(path).status_code == 200

    assert taken.most == BESIDE_THE_KEPT_ONE
    assert taken.now <= 0


@pytest.mark.parametrize("path", ["/sites/gone", "/nowhere", "/sites?page=0"])
def test_a_refused_call_leaves_none_behind(people: People, root: Caller, path: str) -> None:
    with counted(people) as taken:
        assert root.get(path).status_code in (404, 422)

    assert taken.now == 0


def test_a_change_leaves_none_behind(people: People, root: Caller) -> None:
    with counted(people) as taken:
        assert root.patch("/sites/web", {"name": "New"}).status_code == 200

    assert taken.now == 0
