"""Database, Redis and broker stopped under load."""

import pytest

from tests.outages.postgresql_server import programs
from tests.prove import outages, quick
from tests.services_guard import missing_service, required_program


@pytest.mark.service
def test_an_outage_loses_nothing_and_ends_by_itself() -> None:
    required_program("redis-server")
    if programs() is None:
        missing_service("PostgreSQL is not installed")

    quick.check(outages)
