import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from app import create_app
from cli.migrating import alembic_commands
from config import load_settings
from core.errors import UnavailableError
from models.engine import Base, db
from services.migrations import migration_turn
from tests.engines import MARIADB, POSTGRESQL, on_engines
from tests.engines import fresh_url as fresh_url
from tests.models import rows
from tests.people import ENVIRONMENT

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def _installation(url: str, data_dir: Path) -> Iterator[Flask]:
    place = {"DATABASE_URL": url, "DATA_DIR": str(data_dir)}
    app = create_app(load_settings({**ENVIRONMENT, **place}))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@on_engines()
def test_tables_go_up_down_and_up_again_with_a_row_in_each(fresh_url: str, tmp_path: Path) -> None:
    with _installation(fresh_url, tmp_path):
        for _ in range(2):
            alembic_commands().upgrade()
            with db.engine.begin() as connection:
                written = rows.fill(connection)
            with db.engine.connect() as connection:
                assert rows.read(connection) == written
            alembic_commands().downgrade(revision="base")
            assert inspect(db.engine).get_table_names() == ["alembic_version"]


@on_engines()
def test_models_and_migrated_tables_do_not_differ(fresh_url: str, tmp_path: Path) -> None:
    with _installation(fresh_url, tmp_path):
        alembic_commands().upgrade()

        alembic_commands().check()

        names = set(inspect(db.engine).get_table_names()) - {"alembic_version"}
        assert names == set(Base.metadata.tables)


@on_engines()
def test_of_migrations_at_the_same_time_one_works_and_the_others_find_it_done(
    fresh_url: str, tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, "DATABASE_URL": fresh_url, "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "cli.console", "db", "upgrade"]

    migrations = [
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    ends = [(migration.communicate()[1], migration.returncode) for migration in migrations]

    assert [code for _, code in ends] == [0, 0, 0], ends
    with _installation(fresh_url, tmp_path), db.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


@on_engines(POSTGRESQL, MARIADB)
def test_a_migration_gives_up_when_another_one_does_not_end(fresh_url: str, tmp_path: Path) -> None:
    with (
        _installation(fresh_url, tmp_path),
        migration_turn(db.engine),
        pytest.raises(UnavailableError),
        migration_turn(db.engine, wait_seconds=0),
    ):
        pass


@on_engines()
def test_names_differ_by_case_and_by_trailing_spaces(fresh_url: str, tmp_path: Path) -> None:
    with _installation(fresh_url, tmp_path):
        alembic_commands().upgrade()
        with db.engine.begin() as connection:
            rows.fill(connection)
            role = dict(rows.read(connection)["roles"])
            table = Base.metadata.tables["roles"]
            for number, name in enumerate(["web", "Web", "web ", "wéb", "we\u0301b"], start=2):
                connection.execute(table.insert(), {**role, "id": number, "name": name})

            found = connection.scalars(table.select().where(table.c.name == "web")).all()

        assert len(found) == 1
