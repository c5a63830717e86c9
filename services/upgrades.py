"""Bring an installation to the form of this version, with a way back.

Migrations change tables and leave files alone. So rows are what is saved before, in a backup of
rows only; the files of the sites stay where they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from core import restore_marker
from core.errors import ConflictError, ErrorCode, OperationFailedError
from core.settings import current_settings
from models.audit import AuditEvent
from models.engine import db
from services import audit, doctor, installation_backups, installation_proof
from services.actors import Actor
from services.backup_format import Scope
from services.doctor import Diagnosis, Verdict
from services.installation_backups import TARGET
from services.installation_proof import Description
from services.installation_restores import NEWEST, stopped_server
from services.progress import Progress, Silent
from services.restored_rows import Migrate, replace_rows
from services.revisions import present_revisions, wanted_revisions
from services.transaction import end_reading

ROWS_NOTE = "-rows"
UNDO = "relevo upgrade --undo FILE"
UPGRADED = "installation.upgraded"
HARMLESS = frozenset({"migrations", "recovery", "port", "sites_port", "proxy"})
"""Checks that say nothing about tables, or that an upgrade is meant to mend."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What became of the tables; without a change nothing was saved."""

    from_revision: str
    to_revision: str
    saved: str | None
    way_back: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """True when tables were brought to another form."""
        return self.saved is not None


@dataclass(frozen=True, kw_only=True)
class Undone:
    """The form and the number of rows that the tables have again."""

    revision: str
    rows: int


def upgrade(*, actor: Actor, migrate: Migrate, progress: Progress | None = None) -> Upgrade:
    """Look, save the rows, prove what was saved, and bring the tables to the newest form.

    Args:
        actor: who asks; needs every right.
        migrate: brings the tables to a revision, whatever it raises when it cannot.
        progress: is told how far it is.

    Raises:
        ForbiddenError: `admin` is not held.
        ConflictError: `server_running`.
        OperationFailedError: `upgrade_failed`; the detail tells the way back, if one is needed.
        UnavailableError: the tables are of a newer version.
    """
    actor.require("admin")
    data_dir = current_settings().data_dir
    restore_marker.refuse(data_dir)
    with stopped_server(data_dir=data_dir):
        _refuse_problems(doctor.examine())
        return migrate_saved(actor=actor, migrate=migrate, progress=progress)


def is_due() -> bool:
    """Tell whether there are tables, and they are not in the form of this version."""
    present = present_revisions()
    return bool(present) and present != wanted_revisions()


def migrate_saved(*, actor: Actor, migrate: Migrate, progress: Progress | None = None) -> Upgrade:
    """Do what `upgrade` does, beside whatever else runs and without looking around.

    Raises:
        OperationFailedError: `upgrade_failed`.
        UnavailableError: the tables are of a newer version.
    """
    before, wanted = present_revisions(), wanted_revisions()
    if before == wanted:
        return Upgrade(from_revision=_word(before), to_revision=_word(wanted), saved=None)
    path = installation_backups.path_for(target=None, note=ROWS_NOTE)
    installation_backups.save(path=path, scope=Scope.ROWS, progress=progress)
    proof = installation_proof.prove(path=path, progress=progress)
    installation_proof.refuse_unsound(proof=proof)
    way_back = ways_back(path)
    end_reading()  # or the migration would wait for the tables that were looked at
    try:
        migrate(NEWEST)
    except Exception as error:
        cause = str(error).partition("\n")[0]
        raise OperationFailedError(
            f"The migration failed: {cause}. The rows are in {path}. The way back: "
            + "; ".join(way_back),
            code=ErrorCode.UPGRADE_FAILED,
            members={"saved": str(path), "way_back": list(way_back)},
        ) from error
    done = Upgrade(
        from_revision=_word(before),
        to_revision=_word(wanted),
        saved=str(path),
        way_back=way_back,
    )
    audit.record(
        actor=actor,
        action=UPGRADED,
        target=TARGET,
        before={"revision": done.from_revision},
        after={"revision": done.to_revision, "file": path.name},
    )
    return done


def ways_back(path: Path) -> tuple[str, ...]:
    """Return the commands that lead back to where the rows were saved."""
    return (
        f"relevo upgrade --undo {path}",
        "git checkout PREVIOUS  # the version you came from; git reflog shows it",
        "make .venv/installed",
        "relevo serve",
    )


def undo(
    *,
    actor: Actor,
    path: Path,
    migrate: Migrate,
    lose_changes: bool = False,
    progress: Progress | None = None,
) -> Undone:
    """Put the rows back that an upgrade saved, into tables of the form they had.

    Args:
        actor: who asks; needs every right.
        path: what the upgrade saved.
        migrate: brings the tables to a revision.
        lose_changes: go on although something happened since.
        progress: is told how far it is.

    Raises:
        ForbiddenError: `admin` is not held.
        NotFoundError: there is no such file.
        InvalidInputError: `installation_backup_invalid`.
        ConflictError: `server_running`; it is no backup of rows; something happened since.
    """
    actor.require("admin")
    data_dir, progress = current_settings().data_dir, progress or Silent()
    proof = installation_proof.prove(path=path, progress=progress)
    description = installation_proof.refuse_unsound(proof=proof)
    with stopped_server(data_dir=data_dir):
        if not restore_marker.is_set(data_dir):
            _refuse_other_backups(description)
            if not lose_changes:
                _refuse_losses(description)
        restore_marker.put(data_dir, {"command": UNDO, "file": path.name})
        rows = replace_rows(
            description=description,
            contained=proof.contained,
            migrate=migrate,
            progress=progress,
        )
        restore_marker.remove(data_dir)
    return Undone(revision=description.header.revision, rows=rows)


def _refuse_problems(found: Sequence[Diagnosis]) -> None:
    bad = [it for it in found if it.verdict is Verdict.PROBLEM and it.name not in HARMLESS]
    if bad:
        details = "; ".join(f"{it.name}: {it.detail}" for it in bad)
        raise OperationFailedError(
            f"Nothing was changed. First settle what relevo doctor finds: {details}",
            code=ErrorCode.UPGRADE_FAILED,
        )


def _refuse_other_backups(description: Description) -> None:
    if description.header.scope is not Scope.ROWS:
        raise ConflictError(
            "This is a backup of a whole installation. It goes into an empty one: "
            "relevo backup restore FILE",
            code=ErrorCode.INSTALLATION_NOT_EMPTY,
        )


def _refuse_losses(description: Description) -> None:
    saved = description.summary.tables[AuditEvent.__tablename__].rows
    query = select(func.count()).select_from(AuditEvent)
    try:
        with db.engine.connect() as connection:
            later = query.where(AuditEvent.id > saved, AuditEvent.action != UPGRADED)
            count = connection.scalar(later) or 0
    except DBAPIError:
        return  # The tables are half changed: nobody can have used them since.
    if count:
        raise ConflictError(
            f"{count} things happened since these rows were saved and would be lost, as the audit "
            "trail tells. Say --lose-changes if that is what you want.",
            code=ErrorCode.INSTALLATION_NOT_EMPTY,
        )


def _word(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
