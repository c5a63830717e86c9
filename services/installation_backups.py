"""Save a whole installation into one file, while it runs.

Rows are read in one snapshot. Files follow: what a release of the snapshot consists of never
changes, its manifest stays when it is pruned, and its contents stay for a day after that
(`upkeep.BLOB_GRACE_HOURS`). A site that is deleted in between takes its manifests along; then
everything is read again. Keys are not inside.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from core.clock import isoformat, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    InsufficientDiskError,
    InvalidInputError,
    UnavailableError,
)
from core.settings import current_settings
from core.version import program_version
from models.engine import engine_name
from services import audit, installation_keys
from services.actors import Actor
from services.backup_format import HEADER, Header, Scope, Summary, TableCount, rows_name
from services.file_snapshots import FilePlan, FileSaver, SiteGoneError, plan_of
from services.progress import Progress, Silent
from services.revisions import is_known, revisions_of
from services.row_snapshots import SavedTable, TableHash, lines_of, present_tables, snapshot
from storage import failpoints
from storage.backup_files import BackupBusyError, BackupWriter, remove_unfinished

ATTEMPTS = 3
PART_BYTES = 1024 * 1024
PREFIX, SUFFIX = "relevo-", ".tar"
TARGET = audit.Target(type="installation", id="relevo")

AFTER_ROWS = "backup.rows_written"
AFTER_FILES = "backup.files_written"
failpoints.register(AFTER_ROWS, AFTER_FILES)


@dataclass(frozen=True, kw_only=True)
class CreatedBackup:
    """A backup that is complete and durable; `damaged` files are missing in it."""

    file: str
    size_bytes: int
    created_at: str
    scope: Scope
    engine: str
    revision: str
    summary: Summary


def create(
    *, actor: Actor, target: Path | None = None, progress: Progress | None = None
) -> CreatedBackup:
    """Save the installation: rows, manifests, contents and what each environment shows.

    Args:
        actor: who asks; needs every right.
        target: a file that does not exist yet, or a folder; BACKUPS_ROOT when left out.
        progress: is told how far it is.

    Raises:
        ForbiddenError: `admin` is not held.
        ConflictError: the file exists, or is being written.
        InsufficientDiskError: there is not enough space for it.
        UnavailableError: the tables are not those of this version.
    """
    actor.require("admin")
    path = path_for(target=target)
    created = save(path=path, scope=Scope.FULL, progress=progress)
    audit.record(
        actor=actor,
        action="installation.backed_up",
        target=TARGET,
        after={"file": path.name, "size_bytes": created.size_bytes},
    )
    return created


def path_for(*, target: Path | None, note: str = "") -> Path:
    """Return the file to write, and clean up what killed processes left beside it.

    Args:
        target: a file, a folder, or None for BACKUPS_ROOT.
        note: goes into a name that is made here.

    Raises:
        InvalidInputError: there is no such folder.
    """
    if target is None:
        target = current_settings().backups_root
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not target.is_dir():
        if not target.parent.is_dir():
            raise InvalidInputError.field("/target", f"There is no folder {target.parent}.")
        return target
    remove_unfinished(target, PREFIX)
    return target / f"{PREFIX}{utc_now():%Y%m%d-%H%M%S-%f}{note}{SUFFIX}"


def save(*, path: Path, scope: Scope, progress: Progress | None = None) -> CreatedBackup:
    """Write a backup and record nothing; the tables may be older than this version.

    Raises:
        ConflictError: the file exists, or is being written.
        InsufficientDiskError: there is not enough space for it.
        UnavailableError: the tables are of a newer version, or sites come and go too fast.
    """
    for _ in range(ATTEMPTS):
        try:
            with _writing(path) as writer:
                return _Saving(writer, scope, progress or Silent()).run(path)
        except SiteGoneError:
            continue
    raise UnavailableError("Sites were deleted while they were saved; try again.")


@contextmanager
def _writing(path: Path) -> Iterator[BackupWriter]:
    try:
        writer = BackupWriter(path)
    except FileExistsError as error:
        raise ConflictError(f"{path} exists.", code=ErrorCode.ALREADY_EXISTS) from error
    except BackupBusyError as error:
        raise ConflictError(str(error), code=ErrorCode.ALREADY_EXISTS) from error
    try:
        yield writer
    except BaseException:
        writer.give_up()
        raise


class _Saving:
    """One run over rows and files."""

    def __init__(self, writer: BackupWriter, scope: Scope, progress: Progress) -> None:
        self._writer = writer
        self._scope = scope
        self._progress = progress

    def run(self, path: Path) -> CreatedBackup:
        with snapshot() as connection:
            header = self._header(connection)
            self._writer.add(HEADER, header.to_json())
            self._progress.begin("Rows", len(header.tables))
            tables = {saved.name: self._save_rows(connection, saved) for saved in header.tables}
            plan = plan_of(connection)
        failpoints.hit(AFTER_ROWS)
        summary = self._save_files(plan, tables)
        failpoints.hit(AFTER_FILES)
        self._writer.finish(summary.to_json(), installation_keys.mark)
        return CreatedBackup(
            file=str(path),
            size_bytes=path.stat().st_size,
            created_at=header.created_at,
            scope=header.scope,
            engine=header.engine,
            revision=header.revision,
            summary=summary,
        )

    def _header(self, connection: Connection) -> Header:
        return Header(
            scope=self._scope,
            relevo=program_version(),
            created_at=isoformat(utc_now()),
            engine=engine_name(connection),
            revision=_revision(connection),
            keys=installation_keys.fingerprints(),
            tables=tuple(present_tables(connection)),
        )

    def _save_rows(self, connection: Connection, saved: SavedTable) -> TableCount:
        """Write the rows of one table in parts that fit into memory."""
        table_hash, part, waiting, size = TableHash(saved), 0, [], 0
        for line, values in lines_of(connection, saved):
            table_hash.add(line, values)
            waiting.append(line)
            size += len(line)
            if size >= PART_BYTES:
                self._save_part(saved, part, waiting)
                part, waiting, size = part + 1, [], 0
        if waiting:
            self._save_part(saved, part, waiting)
        self._progress.advance(1)
        return TableCount(rows=table_hash.rows, sha256=table_hash.sha256)

    def _save_part(self, saved: SavedTable, part: int, lines: list[str]) -> None:
        content = "".join(f"{line}\n" for line in lines).encode()
        self._writer.add(rows_name(saved.name, part), content)

    def _save_files(self, plan: FilePlan, tables: dict[str, TableCount]) -> Summary:
        saver = FileSaver(self._writer, plan)
        if self._scope is Scope.FULL:
            wanted = saver.save_manifests()
            self._refuse_small_disk(wanted)
            saver.save_places()
            self._progress.begin("Contents", wanted)
            saver.save_contents(self._progress)
        return Summary(
            tables=tables,
            sites=plan.sites,
            releases=len(plan.releases),
            environments=len(plan.places),
            contents=saver.contents,
            content_bytes=saver.content_bytes,
            damaged=saver.damaged,
            members=self._writer.inventory.members,
            inventory=self._writer.inventory.sha256,
        )

    def _refuse_small_disk(self, wanted_bytes: int) -> None:
        status = os.statvfs(self._writer.folder)
        free_bytes = status.f_bavail * status.f_frsize
        if wanted_bytes > free_bytes:
            raise InsufficientDiskError(
                f"The backup needs {wanted_bytes} bytes and {free_bytes} are free; "
                "nothing was kept."
            )


def _revision(connection: Connection) -> str:
    present = revisions_of(connection)
    if len(present) != 1 or not is_known(next(iter(present))):
        raise UnavailableError(
            "The tables are missing, or of a newer version than this one; use that version."
        )
    return present.pop()
