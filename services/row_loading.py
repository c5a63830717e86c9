"""Put the rows of a backup into the tables of any engine, all of them or none.

Foreign keys are looked at when everything is there, so that the order of rows does not matter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, MetaData, column, delete, insert, inspect, table, text
from sqlalchemy.exc import DBAPIError

from core.errors import OperationFailedError
from models.engine import Base
from services.backup_format import TableCount
from services.row_snapshots import TYPES, SavedTable, TableHash, decoded, lines_of
from services.transaction import long_unit_of_work

ROWS_AT_ONCE = 500
VERSIONS = "alembic_version"

Rows = Callable[[SavedTable], Iterable[Sequence[object]]]
"""Gives the rows of a table as a backup has them."""


def drop_tables(*, saved: Iterable[str]) -> None:
    """Drop the tables of Relevo, those of this version and those named, whatever form they have.

    Other tables of the same database stay.
    """
    names = {*saved, *Base.metadata.tables, VERSIONS}
    with long_unit_of_work() as connection:
        present = names.intersection(inspect(connection).get_table_names())
        found = MetaData()
        found.reflect(connection, only=sorted(present), resolve_fks=False)
        if connection.dialect.name == "mysql":
            connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        found.drop_all(connection, checkfirst=False)


def load(*, tables: Sequence[SavedTable], rows: Rows, counts: Mapping[str, TableCount]) -> None:
    """Fill empty tables and read them again: what is there now must hash like the backup.

    Raises:
        OperationFailedError: the engine refused a row or kept it differently; nothing is kept.
    """
    with long_unit_of_work() as connection:
        tables = _present(connection, tables, counts)
        foreign_keys = _ForeignKeys(connection, tables)
        foreign_keys.defer()
        for saved in reversed(tables):
            # Migrations may have put rows there of their own.
            connection.execute(delete(table(saved.name)))
        for saved in tables:
            _insert(connection, saved, rows(saved))
        foreign_keys.check()
        for saved in tables:
            _compare(connection, saved, counts[saved.name])
            _continue_numbers(connection, saved)


def _present(
    connection: Connection, tables: Sequence[SavedTable], counts: Mapping[str, TableCount]
) -> list[SavedTable]:
    """Leave out empty tables that a migration had begun to make when the rows were saved."""
    names = set(inspect(connection).get_table_names())
    for saved in tables:
        if saved.name not in names and counts[saved.name].rows:
            raise OperationFailedError(
                f"The backup has rows for {saved.name}, which is no table of its revision."
            )
    return [saved for saved in tables if saved.name in names]


def _insert(connection: Connection, saved: SavedTable, rows: Iterable[Sequence[object]]) -> None:
    names = [entry.name for entry in saved.columns]
    target = table(saved.name, *(column(it.name, TYPES[it.kind]) for it in saved.columns))
    kinds = [entry.kind for entry in saved.columns]
    statement = insert(target)
    for batch in _batches(rows):
        values = [dict(zip(names, map(decoded, kinds, row), strict=True)) for row in batch]
        try:
            connection.execute(statement, values)
        except DBAPIError as error:
            reason = str(error.orig).partition("\n")[0]
            raise OperationFailedError(
                f"The database refused rows of {saved.name}: {reason}"
            ) from error


def _batches(rows: Iterable[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    batch: list[Sequence[object]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _compare(connection: Connection, saved: SavedTable, count: TableCount) -> None:
    found = TableHash(saved)
    for line, values in lines_of(connection, saved):
        found.add(line, values)
    if TableCount(rows=found.rows, sha256=found.sha256) != count:
        raise OperationFailedError(
            f"The table {saved.name} does not hold what the backup does; nothing was kept."
        )


def _continue_numbers(connection: Connection, saved: SavedTable) -> None:
    """Let PostgreSQL hand out numbers after the highest; the others do so by themselves."""
    if connection.dialect.name != "postgresql" or len(saved.key) != 1:
        return
    quoted = connection.dialect.identifier_preparer.quote
    named = {"table": quoted(saved.name), "key": saved.key[0]}
    sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:table, :key)"), named)
    if sequence is None:
        return
    source = table(saved.name, column(saved.key[0]))
    highest = connection.scalar(source.select().order_by(column(saved.key[0]).desc()).limit(1))
    if highest is not None:
        connection.execute(
            text("SELECT setval(:sequence, :highest)"),
            {"sequence": sequence, "highest": highest},
        )


class _ForeignKeys:
    """Lets rows refer to rows that come later."""

    def __init__(self, connection: Connection, tables: Sequence[SavedTable]) -> None:
        self._connection = connection
        self._names = [saved.name for saved in tables]
        self._engine = connection.dialect.name

    def defer(self) -> None:
        """Look at no foreign key for now."""
        if self._engine == "sqlite":
            self._connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        elif self._engine == "mysql":
            self._connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        else:
            self._alter("DEFERRABLE INITIALLY DEFERRED")

    def check(self) -> None:
        """Look at all of them; SQLite does at the commit.

        MariaDB never looks back. There the hash of each table tells that the rows are those of
        the backup, which were read in one moment of a database that did look.
        """
        if self._engine == "mysql":
            self._connection.exec_driver_sql("SET SESSION foreign_key_checks = 1")
        elif self._engine == "postgresql":
            self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            self._alter("NOT DEFERRABLE")

    def _alter(self, form: str) -> None:
        quote = self._connection.dialect.identifier_preparer.quote
        inspector = inspect(self._connection)
        for name in self._names:
            for key in inspector.get_foreign_keys(name):
                self._connection.exec_driver_sql(
                    f"ALTER TABLE {quote(name)} ALTER CONSTRAINT {quote(str(key['name']))} {form}"
                )
