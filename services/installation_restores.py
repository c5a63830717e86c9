"""Restore a whole installation from one file, into an empty one, on any engine.

Order: the file is proven, DATA_DIR is marked, contents and releases are written and made durable,
the rows are loaded in one unit of work, and only then do environments and hosts point anywhere.
Killed in between it is repeated with the same command: what is there is compared and kept.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, inspect, select, table, update
from sqlalchemy.exc import OperationalError

from core import restore_marker, serve_lock
from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, OperationFailedError
from core.extensions import site_store
from core.settings import current_settings
from models.audit import AuditHead
from models.engine import Base, NoDatabaseError, db, engine_name, no_file_made
from models.releases import Release
from models.roles import Role, role_inherits
from models.sessions import UserSession
from models.users import OneTimeToken
from services import audit, installation_proof, restored_places
from services.actors import Actor
from services.backup_format import CONTENTS, Damage, Scope
from services.installation_backups import TARGET
from services.installation_proof import Contained, Description
from services.progress import Progress, Silent
from services.restored_rows import Migrate, replace_rows
from services.sessions import EndReason
from services.storage_errors import translated_storage_errors
from services.transaction import transaction
from storage import failpoints
from storage.backup_files import BackupFile, Member
from storage.imports import ImportStage
from storage.manifests import Manifest

SEEDED = {AuditHead.__tablename__, Role.__tablename__, role_inherits.name}
"""Tables that are not empty in an installation in which nobody has done anything yet."""
NEWEST = "head"
RESTORE = "relevo backup restore FILE"

AFTER_MARK = "restore.marked"
AFTER_CONTENTS = "restore.contents_written"
AFTER_FILES = "restore.files_durable"
AFTER_ROWS = "restore.rows_loaded"
AFTER_PLACES = "restore.places_shown"
failpoints.register(AFTER_MARK, AFTER_CONTENTS, AFTER_FILES, AFTER_ROWS, AFTER_PLACES)


@dataclass(frozen=True, kw_only=True)
class RestoredInstallation:
    """What is there now; `damaged` was missing in the backup already."""

    file: str
    created_at: str
    from_engine: str
    engine: str
    rows: int
    sites: int
    releases: int
    contents: int
    content_bytes: int
    sessions_kept: bool
    damaged: tuple[Damage, ...]


def restore(
    *,
    actor: Actor,
    path: Path,
    migrate: Migrate,
    keep_sessions: bool = False,
    at_last: Callable[[], object] | None = None,
    progress: Progress | None = None,
) -> RestoredInstallation:
    """Bring back what `installation_backups.create` saved.

    Args:
        actor: who asks; needs every right.
        path: the backup.
        migrate: brings the tables to a revision; the backup's own first, then the newest.
        keep_sessions: leave sign-ins and links for passwords alive. By default they end: those
            that were ended after the backup was made must not come back to life.
        at_last: called when everything is back, before the server may start.
        progress: is told how far it is.

    Raises:
        ForbiddenError: `admin` is not held.
        NotFoundError: there is no such file.
        InvalidInputError: `installation_backup_invalid`; nothing was touched.
        ConflictError: `server_running` or `installation_not_empty`; nothing was touched.
        OperationFailedError: the database refused a row; repeat, or use another engine.
    """
    actor.require("admin")
    progress = progress or Silent()
    proof = installation_proof.prove(path=path, progress=progress)
    description = installation_proof.refuse_unsound(proof=proof)
    _refuse_rows_only(description)
    data_dir = current_settings().data_dir
    _refuse_occupied(description)  # before even a lock is made, and again under it
    with stopped_server(data_dir=data_dir), closing(BackupFile(path)) as file:
        _refuse_occupied(description)
        restore_marker.put(data_dir, {"command": RESTORE, "file": path.name})
        failpoints.hit(AFTER_MARK)
        _Files(file, description, proof.contained, progress).restore()
        rows = replace_rows(
            description=description,
            contained=proof.contained,
            migrate=migrate,
            progress=progress,
        )
        migrate(NEWEST)
        _settle_rows(actor, description, keep_sessions=keep_sessions)
        failpoints.hit(AFTER_ROWS)
        restored_places.show_all(file=file, contained=proof.contained)
        failpoints.hit(AFTER_PLACES)
        if at_last is not None:
            at_last()
        restore_marker.remove(data_dir)
    return _report(description, rows, keep_sessions=keep_sessions)


@contextmanager
def stopped_server(*, data_dir: Path) -> Iterator[None]:
    """Keep `relevo serve` away from DATA_DIR.

    Raises:
        ConflictError: `server_running`.
    """
    descriptor = serve_lock.take(data_dir)
    if descriptor is None:
        raise ConflictError(
            f"A server works on {data_dir}; stop it first.", code=ErrorCode.SERVER_RUNNING
        )
    try:
        yield
    finally:
        os.close(descriptor)


def _refuse_rows_only(description: Description) -> None:
    if description.header.scope is not Scope.FULL:
        raise ConflictError(
            "This backup holds rows only, saved by an upgrade. It goes back into its own "
            "installation: relevo upgrade --undo FILE",
            code=ErrorCode.INSTALLATION_NOT_EMPTY,
        )


def _refuse_occupied(description: Description) -> None:
    """Look for rows and sites; after an interrupted restore they are what it left."""
    if restore_marker.is_set(current_settings().data_dir):
        return
    names = {saved.name for saved in description.header.tables} | set(Base.metadata.tables)
    found = [f"{name} ({count})" for name, count in _row_counts(names - SEEDED) if count]
    layout = site_store().layout
    if layout.root.is_dir():
        found += [f"the folder of {slug}" for slug in layout.slugs()]
    if found:
        raise ConflictError(
            f"This installation is not empty: {', '.join(found)}. Nothing was touched; "
            "name another DATA_DIR and an empty database.",
            code=ErrorCode.INSTALLATION_NOT_EMPTY,
            members={"found": found},
        )


def _row_counts(names: Iterable[str]) -> list[tuple[str, int]]:
    try:
        with no_file_made(db.engine), db.engine.connect() as connection:
            present = set(inspect(connection).get_table_names())
            return [
                (name, connection.scalar(select(func.count()).select_from(table(name))) or 0)
                for name in sorted(present.intersection(names))
            ]
    except OperationalError as error:
        if not isinstance(error.orig, NoDatabaseError):
            raise
        return []


class _Files:
    """The files of one proven backup on their way into the store."""

    def __init__(
        self,
        file: BackupFile,
        description: Description,
        contained: Contained,
        progress: Progress,
    ) -> None:
        self._file = file
        self._summary = description.summary
        self._contained = contained
        self._progress = progress

    def restore(self) -> None:
        """Write contents, releases and manifests, and make them durable."""
        store = site_store()
        store.prepare()
        with translated_storage_errors(), store.importing() as stage:
            self._add_contents(stage)
            failpoints.hit(AFTER_CONTENTS)
            self._add_releases(stage)
            stage.sync()
        failpoints.hit(AFTER_FILES)

    def _add_contents(self, stage: ImportStage) -> None:
        self._progress.begin("Contents", self._summary.content_bytes)
        for member in self._file.members():
            kind, _, name = member.name.partition("/")
            if kind == CONTENTS:
                self._add_content(stage, member, name)

    def _add_content(self, stage: ImportStage, member: Member, name: str) -> None:
        stage.add_content(name, member.size_bytes, lambda: self._file.chunks(member))
        self._progress.advance(member.size_bytes)

    def _add_releases(self, stage: ImportStage) -> None:
        self._progress.begin("Releases", len(self._contained.manifests))
        broken = {(damage.site, damage.release) for damage in self._summary.damaged}
        for key, member in self._contained.manifests.items():
            manifest = Manifest.from_json(self._file.read(member))
            slug, number = self._contained.slugs[key.site_id], self._contained.ready.get(key)
            if number is None:
                stage.add_manifest(slug, manifest)
            elif not stage.add_release(slug, manifest) and (slug, number) not in broken:
                raise OperationFailedError(f"{slug}: release {number} could not be restored.")
            self._progress.advance(1)


def _settle_rows(actor: Actor, description: Description, *, keep_sessions: bool) -> None:
    """End what must not come back, and let the worker compress what has no variants now."""
    now = utc_now()
    with transaction() as session:
        if not keep_sessions:
            session.execute(
                update(UserSession)
                .where(UserSession.revoked_at.is_(None))
                .values(revoked_at=now, revoke_reason=EndReason.RESTORED.value)
            )
            session.execute(
                update(OneTimeToken).where(OneTimeToken.used_at.is_(None)).values(used_at=now)
            )
        session.execute(
            update(Release).where(Release.compressed_at.is_not(None)).values(compressed_at=None)
        )
        audit.record(
            actor=actor,
            action="installation.restored",
            target=TARGET,
            after={
                "file": Path(description.file).name,
                "created_at": description.header.created_at,
                "engine": description.header.engine,
                "sessions_kept": keep_sessions,
            },
        )


def _report(description: Description, rows: int, *, keep_sessions: bool) -> RestoredInstallation:
    header, summary = description.header, description.summary
    return RestoredInstallation(
        file=description.file,
        created_at=header.created_at,
        from_engine=header.engine,
        engine=engine_name(db.engine),
        rows=rows,
        sites=summary.sites,
        releases=summary.releases,
        contents=summary.contents,
        content_bytes=summary.content_bytes,
        sessions_kept=keep_sessions,
        damaged=summary.damaged,
    )
