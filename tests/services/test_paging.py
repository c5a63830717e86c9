"""Searches find the same on every engine."""

import pytest

from services import users
from services.paging import PageRequest
from tests.people import People


@pytest.mark.parametrize("words", ["\u00c9lodie", "\u00e9lodie", "\u00c9LODIE", "elodie@"])
def test_a_search_does_not_look_at_case_in_any_alphabet(inside: People, words: str) -> None:
    inside.user("ana", email="\u00c9lodie@example.org")
    inside.user("bob", email="elodie@example.org")

    found = users.list_users(actor=inside.actor("root"), page=PageRequest(q=words))

    assert [user.username for user in found.items] == ["bob" if words == "elodie@" else "ana"]
