"""Fixtures of installations that may call receivers on loopback."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.outgoing.receivers import Receiver, receiving
from tests.outgoing.test_guard import LISTED
from tests.people import People
from tests.people import home as home
from tests.people import inside as inside
from tests.people import people as people
from tests.people import template as template


@pytest.fixture
def calling(inside: People) -> People:
    """A fresh installation with an open context that lists the networks of loopback."""
    settings = inside.app.extensions["relevo.settings"]
    inside.app.extensions["relevo.settings"] = replace(settings, webhook_allowed_cidrs=LISTED)
    return inside


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A well-behaved receiver."""
    with receiving() as running:
        yield running
