"""Fixtures of installations and of the command that works on them."""

import pytest

from tests.cli.commands import Relevo
from tests.people import People
from tests.people import inside as inside
from tests.people import own_people as own_people
from tests.people import template as template


@pytest.fixture
def people(own_people: People) -> People:
    """An installation with an application of its own: commands may leave traces on theirs."""
    return own_people


@pytest.fixture
def relevo(people: People) -> Relevo:
    """The command on a fresh installation."""
    return Relevo(people.app)
