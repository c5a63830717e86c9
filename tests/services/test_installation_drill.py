"""Moving from engine to engine: the same rows and the same sites everywhere."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import JSON, Connection, Table, update

from cli.migrating import alembic_commands
from models.engine import Base, db
from models.idempotency import IdempotencyKey
from services import audit_proof, recovery, row_loading
from services.actors import cli_actor
from services.backup_format import TableCount
from services.recovery import Outcome
from services.row_snapshots import (
    SavedTable,
    TableHash,
    kind_of,
    lines_of,
    present_tables,
    snapshot,
)
from tests.engines import MARIADB, POSTGRESQL, SQLITE, on_engines, server
from tests.factories import live, make_site, promote, roll_back, upload
from tests.installations import fill, installation, restore, save, served
from tests.installations import migrated as migrated
from tests.installations import source as source
from tests.models import rows

TOLD_MORE = {"audit_events", "audit_heads", "outbox_events"}
"""Saving and restoring are written into the audit trail, and told to the outside."""


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_column_of_every_table_can_be_saved(table: Table) -> None:
    for column in table.columns:
        assert kind_of(column.type)


def test_an_installation_goes_from_engine_to_engine_and_back(source: Flask, tmp_path: Path) -> None:
    for name in (POSTGRESQL, MARIADB):
        server(name)
    fill(source)
    expected = served(source)
    made = save(tmp_path / "0.tar")
    assert expected["web.localhost", "/about"].status == 200

    for step, engine in enumerate([POSTGRESQL, MARIADB, SQLITE], start=1):
        before = made.summary.tables
        with installation(tmp_path / str(step), engine) as app:
            restore(made.file)
            made = save(tmp_path / f"{step}.tar")

            after = made.summary.tables
            assert {name for name in before if after[name] != before[name]} == TOLD_MORE
            assert served(app) == expected
            assert audit_proof.verify(actor=cli_actor()).valid
            assert {it.outcome for it in recovery.recover_all()} == {Outcome.CLEAN}


@on_engines()
def test_a_restored_installation_goes_on(source: Flask, tmp_path: Path, engine_name: str) -> None:
    fill(source)
    file = save(tmp_path / "saved.tar").file

    with installation(tmp_path / "restored", engine_name):
        restore(file)
        alembic_commands().check()
        make_site("new", main=["fresh"])
        number = upload({"index.html": b"fourth"})
        promote(number)

        assert live() == number == 4
        roll_back()
        assert live() == 2


@on_engines()
def test_each_kind_of_value_comes_back_as_it_was(
    engine_name: str, source: Flask, tmp_path: Path
) -> None:
    with db.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        rows.fill(connection)
        # JSON's own null is not the NULL of the column.
        connection.execute(update(IdempotencyKey).values(headers=JSON.NULL, status=None))
        written = rows.read(connection)
    with snapshot() as connection:
        tables = present_tables(connection)
        saved = {it.name: [values for _, values in lines_of(connection, it)] for it in tables}
        counts = {it.name: _count(connection, it) for it in tables}

    with installation(tmp_path / "restored", engine_name):
        alembic_commands().upgrade()
        row_loading.load(tables=tables, rows=lambda it: saved[it.name], counts=counts)

        with db.engine.connect() as connection:
            assert rows.read(connection) == written


def _count(connection: Connection, table: SavedTable) -> TableCount:
    found = TableHash(table)
    for line, values in lines_of(connection, table):
        found.add(line, values)
    return TableCount(rows=found.rows, sha256=found.sha256)
