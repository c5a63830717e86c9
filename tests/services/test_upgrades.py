"""Upgrades save the rows first, and every way they end leaves a way back."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from cli.migrating import alembic_commands
from core import restore_marker, serve_lock
from core.errors import DomainError, ErrorCode, ForbiddenError
from models.engine import db
from services import installation_proof, restored_rows, upgrades
from services.actors import cli_actor
from services.backup_format import Scope, TableCount
from services.revisions import present_revisions, wanted_revisions
from services.row_snapshots import TableHash, lines_of, present_tables, snapshot
from services.seed_roles import ensure_roles
from storage import failpoints
from tests.cli.commands import Relevo, run_process
from tests.engines import SQLITE, on_engines
from tests.factories import last_event, live, upload
from tests.installations import fill, installation, save, served
from tests.installations import migrated as migrated
from tests.installations import source as source
from tests.people import People

FIRST_REVISION = "12fd0ed90563"
LATER_TABLE = "jobs"


def migrate(revision: str) -> None:
    alembic_commands().upgrade(revision=revision)


def upgrade() -> upgrades.Upgrade:
    return upgrades.upgrade(actor=cli_actor(), migrate=migrate)


def undo(path: Path | str | None, *, lose_changes: bool = False) -> upgrades.Undone:
    return upgrades.undo(
        actor=cli_actor(), path=Path(str(path)), migrate=migrate, lose_changes=lose_changes
    )


def rows_now() -> dict[str, TableCount]:
    """Return count and hash of every table."""
    found = {}
    with snapshot() as connection:
        for table in present_tables(connection):
            table_hash = TableHash(table)
            for line, values in lines_of(connection, table):
                table_hash.add(line, values)
            found[table.name] = TableCount(rows=table_hash.rows, sha256=table_hash.sha256)
    return found


@pytest.fixture
def engine_name() -> str:
    """SQLite, unless a test asks for others."""
    return SQLITE


@contextmanager
def first_version(data_dir: Path, engine_name: str) -> Iterator[Flask]:
    """Yield an installation with the tables of the first version, in which something happened."""
    with installation(data_dir, engine_name) as app:
        alembic_commands().upgrade()
        ensure_roles()
        fill(app)
        alembic_commands().downgrade(revision=FIRST_REVISION)
        yield app


@pytest.fixture(scope="session")
def old_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of such an installation on SQLite, to be copied."""
    data_dir = tmp_path_factory.mktemp("old")
    with first_version(data_dir, SQLITE):
        return data_dir


@pytest.fixture
def old(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """An installation of the first version, on SQLite unless the test asks for others."""
    data_dir = tmp_path / "old"
    if engine_name == SQLITE:
        shutil.copytree(request.getfixturevalue("old_folder"), data_dir, symlinks=True)
        data_dir.chmod(0o700)
        with installation(data_dir) as app:
            yield app
        return
    data_dir.mkdir(mode=0o700)
    with first_version(data_dir, engine_name) as app:
        yield app


@on_engines()
def test_rows_are_saved_and_proven_before_tables_change(engine_name: str, old: Flask) -> None:
    before, expected = rows_now(), served(old)

    done = upgrade()

    assert present_revisions() == wanted_revisions()
    assert (done.from_revision, done.is_changed) == (FIRST_REVISION, True)
    proof = installation_proof.prove(path=Path(str(done.saved)))
    assert proof.is_sound
    assert proof.description is not None
    assert proof.description.header.scope is Scope.ROWS
    assert proof.description.summary.tables == before
    assert last_event().action == "installation.upgraded"
    assert served(old) == expected


@on_engines()
def test_a_migration_that_fails_tells_the_way_back_and_it_works(
    engine_name: str, old: Flask
) -> None:
    before = rows_now()
    with db.engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {LATER_TABLE} (in_the_way integer)"))

    with pytest.raises(DomainError) as failure:
        upgrade()

    assert failure.value.code is ErrorCode.UPGRADE_FAILED
    saved = failure.value.members["saved"]
    assert f"relevo upgrade --undo {saved}" in failure.value.detail
    undone = undo(str(saved))
    assert undone.revision == FIRST_REVISION
    assert rows_now() == before
    assert LATER_TABLE not in inspect(db.engine).get_table_names()
    assert upgrade().is_changed
    alembic_commands().check()
    assert live() == 2


def test_nothing_to_do_saves_nothing(source: Flask) -> None:
    assert upgrade().is_changed is False
    assert not source.extensions["relevo.settings"].backups_root.exists()


def test_a_running_server_is_left_alone(old: Flask) -> None:
    data_dir = old.extensions["relevo.settings"].data_dir
    descriptor = serve_lock.take(data_dir)
    assert descriptor is not None

    with pytest.raises(DomainError) as refusal:
        upgrade()

    os.close(descriptor)
    assert refusal.value.code is ErrorCode.SERVER_RUNNING
    assert present_revisions() == {FIRST_REVISION}


def test_problems_are_settled_first(old: Flask) -> None:
    old.extensions["relevo.settings"].data_dir.chmod(0o755)

    with pytest.raises(DomainError, match=r"data_dir: .* can be entered") as refusal:
        upgrade()

    assert refusal.value.code is ErrorCode.UPGRADE_FAILED
    assert present_revisions() == {FIRST_REVISION}


def test_only_who_may_do_everything_may_upgrade(source: Flask) -> None:
    actor = People(source).actor("max", "maintainer")

    with pytest.raises(ForbiddenError):
        upgrades.upgrade(actor=actor, migrate=migrate)
    with pytest.raises(ForbiddenError):
        upgrades.undo(actor=actor, path=Path("a.tar"), migrate=migrate)


def test_what_happened_since_is_not_lost_unasked(old: Flask) -> None:
    before, done = rows_now(), upgrade()
    upload({"index.html": b"later"})

    with pytest.raises(DomainError, match="happened since") as refusal:
        undo(done.saved)

    assert refusal.value.code is ErrorCode.INSTALLATION_NOT_EMPTY
    assert present_revisions() == wanted_revisions()
    undo(done.saved, lose_changes=True)
    assert rows_now() == before


def test_a_whole_backup_is_no_way_back(source: Flask, tmp_path: Path) -> None:
    made = save(tmp_path / "whole.tar")

    with pytest.raises(DomainError, match="relevo backup restore FILE"):
        undo(made.file)


def test_killed_on_the_way_back_it_is_repeated(old: Flask) -> None:
    data_dir = old.extensions["relevo.settings"].data_dir
    before, done = rows_now(), upgrade()
    child = os.fork()
    if child == 0:
        try:
            with installation(data_dir):
                failpoints.arm(restored_rows.AFTER_TABLES)
                undo(done.saved)
        finally:
            os._exit(1)
    os.waitpid(child, 0)

    with pytest.raises(DomainError, match="Repeat: relevo upgrade --undo"):
        restore_marker.refuse(data_dir)
    undo(done.saved)

    restore_marker.refuse(data_dir)
    assert rows_now() == before


def test_the_command_tells_the_way_back_and_goes_it(old: Flask) -> None:
    relevo = Relevo(old)

    done = relevo.document("upgrade")
    again = relevo("upgrade")
    undone = relevo("upgrade", "--undo", done["saved"])
    text_out = relevo("upgrade").output

    assert done["changed"] is True
    assert again.output.startswith("Nothing to do")
    assert f"revision {FIRST_REVISION}" in undone.output
    assert "relevo upgrade --undo" in text_out


def test_the_usual_start_saves_the_rows_too(old: Flask, tmp_path: Path) -> None:
    outcome = run_process("setup", data_dir=tmp_path / "old", DATABASE_URL="")

    assert outcome.returncode == 0, outcome.stderr
    assert "relevo upgrade --undo" in outcome.stdout
    assert len(list((tmp_path / "old" / "backups").glob("relevo-*-rows.tar"))) == 1
