"""What happens once a unit of work is committed, and only then."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from models.engine import db
from models.roles import Role
from services.transaction import after_commit, transaction
from tests.people import People

MEMBER = Role.name == "member"


def _describe(text: str) -> None:
    db.session.execute(update(Role).where(MEMBER).values(description=text))


def _look(into: list[str]) -> Callable[[], None]:
    def look() -> None:
        into.append(db.session.scalars(select(Role.description).where(MEMBER)).one())

    return look


def test_a_bell_rings_when_the_outer_unit_of_work_is_committed(inside: People) -> None:
    seen: list[str] = []

    with transaction():
        with transaction():
            after_commit(_look(seen))
        _describe("as it was committed")
        seen_inside = list(seen)

    assert seen_inside == []
    assert seen == ["as it was committed"]


def test_a_bell_is_silent_when_the_unit_of_work_fails(inside: People) -> None:
    seen: list[str] = []

    with pytest.raises(LookupError), transaction():
        after_commit(_look(seen))
        raise LookupError
    with transaction():
        _describe("of the next one")

    assert seen == []


def test_a_bell_needs_a_unit_of_work(inside: People) -> None:
    with pytest.raises(RuntimeError):
        after_commit(_look([]))
