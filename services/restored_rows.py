"""The rows of a backup on their way into a database: old tables out, the backup's form, rows in."""

from collections.abc import Callable, Iterator
from pathlib import Path

from services import row_loading
from services.backup_rows import Row, rows_of
from services.installation_proof import Contained, Description
from services.progress import Progress
from services.row_snapshots import SavedTable
from services.transaction import end_reading
from storage import failpoints
from storage.backup_files import BackupFile

Migrate = Callable[[str], object]
"""Brings the tables to a revision; `head` is the newest."""

AFTER_TABLES = "restore.tables_made"
failpoints.register(AFTER_TABLES)


def replace_rows(
    *, description: Description, contained: Contained, migrate: Migrate, progress: Progress
) -> int:
    """Let the database hold what a proven backup holds, in the form it had; return the rows.

    Whatever Relevo had in this database before is gone.

    Raises:
        OperationFailedError: the engine refused a row or kept it differently; the tables are
            empty then.
    """
    header, tables = description.header, description.summary.tables
    end_reading()
    row_loading.drop_tables(saved=[saved.name for saved in header.tables])
    migrate(header.revision)
    failpoints.hit(AFTER_TABLES)
    total = sum(count.rows for count in tables.values())
    progress.begin("Rows", total)
    file = BackupFile(Path(description.file))

    def rows(saved: SavedTable) -> Iterator[Row]:
        for row in rows_of(file, contained.parts, saved):
            yield row
            progress.advance(1)

    try:
        row_loading.load(tables=header.tables, rows=rows, counts=tables)
    finally:
        file.close()
    return total
