"""The backups of the installation that lie in a folder."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import DomainError
from core.settings import current_settings
from services import installation_proof
from services.backup_format import Scope
from services.installation_backups import PREFIX, SUFFIX
from storage.backup_files import PART_SUFFIX


@dataclass(frozen=True, kw_only=True)
class ListedBackup:
    """One file; `problem` says why it is no whole backup, and the rest is None then."""

    file: str
    size_bytes: int
    created_at: str | None = None
    scope: Scope | None = None
    relevo: str | None = None
    engine: str | None = None
    sites: int | None = None
    releases: int | None = None
    problem: str | None = None


def list_backups(*, folder: Path | None = None) -> list[ListedBackup]:
    """Return what lies in a folder, BACKUPS_ROOT when left out, the newest first."""
    place = folder or current_settings().backups_root
    if not place.is_dir():
        return []
    found = [_listed(path) for path in place.glob(f"*{SUFFIX}") if path.is_file()]
    parts = place.glob(f"{PREFIX}*{SUFFIX}{PART_SUFFIX}")
    found += [_unfinished(path) for path in parts]
    return sorted(found, key=lambda entry: (entry.created_at or "", entry.file), reverse=True)


def _listed(path: Path) -> ListedBackup:
    try:
        described = installation_proof.describe(path=path)
    except DomainError as error:
        return ListedBackup(file=str(path), size_bytes=path.stat().st_size, problem=error.detail)
    header, summary = described.header, described.summary
    return ListedBackup(
        file=str(path),
        size_bytes=described.size_bytes,
        created_at=header.created_at,
        scope=header.scope,
        relevo=header.relevo,
        engine=header.engine,
        sites=summary.sites,
        releases=summary.releases,
        problem="some files are missing in it" if summary.damaged else None,
    )


def _unfinished(path: Path) -> ListedBackup:
    return ListedBackup(
        file=str(path), size_bytes=path.stat().st_size, problem="it is not finished"
    )
