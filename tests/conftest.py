"""The order of the tests: those that start whole servers come first, so that none is last."""

from pathlib import Path

import pytest

SERVERS_FIRST = ("prove", "operations", "examples", "outages", "growth")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)  # stable: within a folder the order stays


def _turn(item: pytest.Item) -> int:
    folder = Path(item.path).parent.name
    return SERVERS_FIRST.index(folder) if folder in SERVERS_FIRST else len(SERVERS_FIRST)
