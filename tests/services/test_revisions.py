"""What is read of the migrations without alembic is what alembic reads."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from cli.migrating import alembic_commands
from models.engine import db
from services.revisions import is_known, present_revisions, wanted_revisions
from tests.installations import installation
from tests.people import People

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


@pytest.fixture(scope="module")
def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_the_newest_revision_is_that_of_alembic(inside: People, scripts: ScriptDirectory) -> None:
    assert wanted_revisions() == set(scripts.get_heads())


def test_every_revision_of_alembic_is_known(inside: People, scripts: ScriptDirectory) -> None:
    revisions = [script.revision for script in scripts.walk_revisions()]

    assert len(revisions) > 1
    assert all(map(is_known, revisions))
    assert not is_known("fffffffffff0")


def test_the_present_revision_is_that_of_alembic(tmp_path: Path) -> None:
    with installation(tmp_path / "data"):
        nothing = present_revisions()
        alembic_commands().upgrade()
        with db.engine.connect() as connection:
            expected = set(MigrationContext.configure(connection).get_current_heads())

        assert nothing == set()
        assert present_revisions() == expected == wanted_revisions()
