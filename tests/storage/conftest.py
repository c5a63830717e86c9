"""What the tests of the storage share."""

from pathlib import Path

import pytest

from storage import SiteStore


@pytest.fixture
def store(tmp_path: Path) -> SiteStore:
    """A prepared store in a folder of its own."""
    store = SiteStore(tmp_path / "sites")
    store.prepare()
    return store
