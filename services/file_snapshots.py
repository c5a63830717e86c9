"""The files that the rows of a snapshot speak of, on their way into a backup."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from core.errors import OperationFailedError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.releases import Release, ReleaseState
from models.sites import Site
from services.backup_format import (
    Damage,
    content_name,
    environment_name,
    manifest_name,
)
from services.progress import Progress
from services.transaction import end_reading
from storage.backup_files import BackupWriter
from storage.errors import DamagedReleaseError, PointerError, ReleaseMissingError
from storage.manifests import Manifest, ManifestEntry

MANIFEST = "(manifest)"


class SiteGoneError(Exception):
    """A site was deleted, with its manifests, after the rows were read."""


@dataclass(frozen=True, kw_only=True)
class SavedRelease:
    """A release as the rows have it; one that is not ready has no files any more."""

    site_id: int
    slug: str
    number: int
    digest: str
    is_ready: bool


@dataclass(frozen=True, kw_only=True)
class SavedPlace:
    """An environment as the rows have it."""

    site_id: int
    slug: str
    name: str


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """Which files belong to the rows of a snapshot."""

    sites: int
    releases: list[SavedRelease]
    places: list[SavedPlace]


def plan_of(connection: Connection) -> FilePlan:
    """Read from a snapshot which releases and environments there are."""
    releases = connection.execute(
        select(Site.id, Site.slug, Release.number, Release.digest, Release.state)
        .join(Release, Release.site_id == Site.id)
        .order_by(Site.id, Release.id)
    ).all()
    places = connection.execute(
        select(Site.id, Site.slug, Environment.name)
        .join(Environment, Environment.site_id == Site.id)
        .order_by(Site.id, Environment.id)
    ).all()
    return FilePlan(
        sites=len(connection.execute(select(Site.id)).all()),
        releases=[
            SavedRelease(
                site_id=site_id,
                slug=slug,
                number=number,
                digest=digest,
                is_ready=state is ReleaseState.READY,
            )
            for site_id, slug, number, digest, state in releases
        ],
        places=[SavedPlace(site_id=row[0], slug=row[1], name=row[2]) for row in places],
    )


class FileSaver:
    """Writes manifests, pointers and contents, and keeps count."""

    def __init__(self, writer: BackupWriter, plan: FilePlan) -> None:
        self._writer = writer
        self._plan = plan
        self._store = site_store()
        self._damaged: list[Damage] = []
        self.contents = 0
        self.content_bytes = 0

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """What could not be saved."""
        return tuple(self._damaged)

    def save_manifests(self) -> int:
        """Write what each release consists of; return the bytes of all contents, each once.

        Raises:
            SiteGoneError: a site was deleted meanwhile.
        """
        seen: set[bytes] = set()
        wanted = 0
        for release in self._plan.releases:
            manifest = self._manifest(release)
            if manifest is None:
                continue
            name = manifest_name(release.site_id, release.digest)
            self._writer.add(name, manifest.to_json().encode())
            if release.is_ready:
                wanted += sum(entry.size_bytes for entry in _unseen(manifest, seen))
        return wanted

    def save_places(self) -> None:
        """Write what each environment shows, and its journal."""
        for place in self._plan.places:
            document = {"pointer": self._pointer(place), "journal": self._journal(place)}
            name = environment_name(place.site_id, place.name)
            self._writer.add(name, json.dumps(document).encode())

    def save_contents(self, progress: Progress) -> None:
        """Write each content of the releases that are ready, once.

        Raises:
            SiteGoneError: a site was deleted meanwhile.
            OperationFailedError: a content changed between two looks at it.
        """
        saved: set[bytes] = set()
        for release in self._plan.releases:
            manifest = self._manifest(release) if release.is_ready else None
            for entry in manifest.entries if manifest else ():
                key = bytes.fromhex(entry.sha256)
                if key not in saved and self._save_content(release, entry):
                    saved.add(key)
                    progress.advance(entry.size_bytes)
        found = {key.hex() for key in saved}
        self._damaged = [entry for entry in self._damaged if entry.sha256 not in found]

    def _save_content(self, release: SavedRelease, entry: ManifestEntry) -> bool:
        chunks = self._store.sound_content(release.slug, release.digest, entry)
        if chunks is None:
            self._note_damage(release, entry.path, entry.sha256)
            return False
        self._write_content(entry, chunks)
        return True

    def _write_content(self, entry: ManifestEntry, chunks: Iterable[bytes]) -> None:
        name = content_name(entry.sha256)
        if self._writer.add_chunks(name, entry.size_bytes, chunks) != entry.sha256:
            raise OperationFailedError(f"{entry.path} changed while it was read; try again.")
        self.contents += 1
        self.content_bytes += entry.size_bytes

    def _manifest(self, release: SavedRelease) -> Manifest | None:
        try:
            return self._store.manifest(release.slug, release.digest)
        except ReleaseMissingError:
            if not self._is_lost(release):
                raise SiteGoneError from None
        except DamagedReleaseError:
            pass  # noted below
        if release.is_ready:
            self._note_damage(release, MANIFEST, release.digest)
        return None

    def _is_lost(self, release: SavedRelease) -> bool:
        """Tell a manifest that should be there from one that went with its site.

        A new site may have the number of the one that was deleted, and the same content.
        """
        known = db.session.scalar(
            select(Release.id).where(
                Release.site_id == release.site_id, Release.digest == release.digest
            )
        )
        end_reading()
        path = self._store.layout.manifest(release.slug, release.digest)
        return known is not None and (not release.is_ready or not path.exists())

    def _note_damage(self, release: SavedRelease, path: str, sha256: str) -> None:
        damage = Damage(site=release.slug, release=release.number, path=path, sha256=sha256)
        if damage not in self._damaged:
            self._damaged.append(damage)

    def _pointer(self, place: SavedPlace) -> str | None:
        try:
            return self._store.pointer(place.slug, place.name)
        except PointerError:
            return None

    def _journal(self, place: SavedPlace) -> str | None:
        try:
            journal = self._store.journal(place.slug, place.name)
        except PointerError:
            return None
        return journal.to_json().decode() if journal else None


def _unseen(manifest: Manifest, seen: set[bytes]) -> Iterator[ManifestEntry]:
    for entry in manifest.entries:
        key = bytes.fromhex(entry.sha256)
        if key not in seen:
            seen.add(key)
            yield entry
