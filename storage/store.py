"""All of the storage behind one object: the sites folder and what may be done with it."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from storage import failpoints, files
from storage.blobs import Blobs
from storage.contents import sound_content
from storage.drift import DriftReport, find_drift
from storage.errors import ReleaseMissingError
from storage.exports import archive_chunks, open_entry
from storage.hosts import Hosts
from storage.imports import ImportStage, importing
from storage.ingest import (
    IngestRules,
    KeptUpload,
    Progress,
    ReceivedRelease,
    finish,
    receive,
    receive_or_keep,
)
from storage.inventory import ArchiveLimits, InlineLimits, Strip
from storage.journals import Journal
from storage.layout import Layout
from storage.locks import file_lock
from storage.manifests import Manifest, ManifestEntry
from storage.pointers import Pointers
from storage.releases import Releases
from storage.spool import Readable
from storage.staging import check_device, sweep_staging
from storage.trees import TreeReport
from storage.variants import compress_release, remove_variants, variant_path

__all__ = ["DriftReport", "KeptUpload", "ReceivedRelease", "SiteStore", "TreeReport"]


class SiteStore:
    """The sites below one folder. Safe to use from many threads and processes.

    Every slug, environment, digest and host is checked again here; a malformed one is a
    ValueError.

    Args:
        root: the sites folder; `prepare` makes it.
        max_links: after how many hard links a content gets a new inode; None leaves it to the
            file system.
    """

    def __init__(self, root: Path, *, max_links: int | None = None) -> None:
        self.layout = Layout(root)
        self._blobs = Blobs(self.layout, max_links=max_links)
        self._releases = Releases(self.layout, self._blobs)
        self._pointers = Pointers(self.layout, self._releases)
        self._hosts = Hosts(self.layout)

    def prepare(self) -> None:
        """Make the folders that are missing."""
        self.layout.root.mkdir(parents=True, exist_ok=True)
        files.make_folder(self.layout.hosts)
        files.make_folder(self.layout.staging, mode=0o700)
        self._blobs.prepare()

    def receive(
        self,
        slug: str,
        stream: Readable,
        *,
        limits: ArchiveLimits,
        strip: Strip = Strip.AUTO,
        allow_secret_files: bool = False,
        when_spooled: Callable[[], object] | None = None,
    ) -> ReceivedRelease:
        """Store an uploaded zip, tar or tar.gz as a release of a site.

        The release is complete, durable and verified when this returns. After an error, of the
        stream too, nothing of the upload is left. `when_spooled` is called as soon as the stream
        was read to its end: whoever needs a lock for the rest need not hold it while a slow
        client sends.

        Raises:
            ArchiveRefusedError: the archive breaks a rule.
            SecretFileError: it holds what looks like a secret.
            LimitReachedError: it is larger than `limits`.
            DiskFullError: there is no space left.
        """
        self.layout.site(slug)
        rules = IngestRules(limits=limits, strip=strip, allow_secret_files=allow_secret_files)
        return receive(self.layout, self._blobs, slug, stream, rules, when_spooled=when_spooled)

    def receive_or_keep(
        self,
        slug: str,
        stream: Readable,
        *,
        limits: ArchiveLimits,
        inline: InlineLimits,
        strip: Strip,
        allow_secret_files: bool,
        when_spooled: Callable[[], object],
    ) -> ReceivedRelease | KeptUpload:
        """Store an upload like `receive`, or only keep it when it holds more than `inline`.

        What was kept is durable, and `finish` makes a release of it.
        """
        self.layout.site(slug)
        rules = IngestRules(limits=limits, strip=strip, allow_secret_files=allow_secret_files)
        parts = (self.layout, self._blobs, slug, stream, rules)
        return receive_or_keep(*parts, inline=inline, when_spooled=when_spooled)

    def finish(
        self,
        slug: str,
        name: str,
        *,
        limits: ArchiveLimits,
        strip: Strip,
        allow_secret_files: bool,
        progress: Progress,
    ) -> ReceivedRelease:
        """Store an upload that `receive` kept as a release; the upload stays until it is dropped.

        `progress` is told files done and files in all; whatever it raises ends the work and
        leaves nothing.

        Raises:
            FileNotFoundError: the upload is gone.
            ArchiveRefusedError, SecretFileError, LimitReachedError, DiskFullError: see `receive`.
        """
        self.layout.site(slug)
        rules = IngestRules(limits=limits, strip=strip, allow_secret_files=allow_secret_files)
        return finish(self.layout, self._blobs, slug, name, rules, progress=progress)

    def kept_uploads(self, *, older_than_seconds: float) -> list[str]:
        """Return the names of uploads that were kept for that long."""
        if not self.layout.kept.is_dir():
            return []
        newest = time.time() - older_than_seconds
        return [path.name for path in self.layout.kept.iterdir() if path.lstat().st_ctime <= newest]

    def drop_upload(self, name: str) -> None:
        """Forget an upload that was kept; an unknown one is fine."""
        self.layout.kept_upload(name).unlink(missing_ok=True)

    def has_release(self, slug: str, digest: str) -> bool:
        """Tell whether the files of a release are here."""
        return self._releases.exists(slug, digest)

    def releases(self, slug: str) -> list[str]:
        """Return the digests of a site's releases, sorted."""
        return self._releases.digests(slug)

    def manifest(self, slug: str, digest: str) -> Manifest:
        """Return what a release consists of, also after its files were deleted.

        Raises:
            ReleaseMissingError: the site never had it.
            DamagedReleaseError: the manifest was changed.
        """
        return self._releases.manifest(slug, digest)

    def verify(self, slug: str, digest: str, *, full: bool) -> TreeReport:
        """Compare the files of a release with its manifest.

        Not `full` looks at size, time, mode and inode; `full` reads every byte.

        Raises:
            ReleaseMissingError: the site never had it.
            DamagedReleaseError: the manifest was changed.
        """
        return self._releases.verify(slug, digest, full=full)

    def pointer(self, slug: str, environment: str) -> str | None:
        """Return the digest an environment shows, None before its first release.

        Raises:
            PointerError: what lies in its place is not a pointer of ours.
        """
        return self._pointers.read(slug, environment)

    def pointers(self, slug: str) -> dict[str, str]:
        """Return the digest of every environment whose pointer is in order."""
        return dict(self._pointers.all_of(slug))

    def journal(self, slug: str, environment: str) -> Journal | None:
        """Return what the last switch wrote, None before the first.

        Raises:
            PointerError: the file is damaged.
        """
        return self._pointers.journal(slug, environment)

    def write_journal(self, slug: str, environment: str, journal: Journal) -> None:
        """Replace the journal durably and leave the pointer alone."""
        self._pointers.write_journal(slug, environment, journal)

    def switch(self, slug: str, environment: str, journal: Journal) -> None:
        """Write the journal, then let the environment show `journal.to_digest`.

        Raises:
            ReleaseMissingError: that release is not here; nothing was written.
            PointerError: what lies in the pointer's place is not ours; nothing was written.
        """
        self._pointers.switch(slug, environment, journal)

    def rollback_offline(
        self,
        slug: str,
        environment: str,
        *,
        to_digest: str | None,
        by: str,
        reason: str | None,
        at: str,
    ) -> Journal:
        """Go back to an earlier release with nothing but the disk; see `Pointers`.

        Raises:
            ReleaseMissingError: there is nothing to go back to.
            DamagedReleaseError: the named release was changed.
        """
        return self._pointers.roll_back_offline(
            slug, environment, to_digest=to_digest, by=by, reason=reason, at=at
        )

    def point_host(self, host: str, slug: str, environment: str) -> None:
        """Let a host show an environment."""
        self._hosts.point(host, slug, environment)

    def point_host_at_release(self, host: str, slug: str, digest: str) -> None:
        """Let a host show one release."""
        self._hosts.point_at_release(host, slug, digest)

    def remove_host(self, host: str) -> None:
        """Let a host show nothing; an unknown one is fine."""
        self._hosts.remove(host)

    def hosts(self) -> dict[str, str]:
        """Return `<slug>/<environment>` or `<slug>/releases/<digest>` for every host."""
        return self._hosts.all()

    def remove_environment(self, slug: str, environment: str) -> None:
        """Remove an environment's hosts, pointer and journal; the releases stay."""
        self.layout.pointer(slug, environment)
        self._hosts.remove_all_of(f"{slug}/{environment}")
        self._pointers.remove(slug, environment)

    def remove_site(self, slug: str) -> None:
        """Remove a site with all its hosts and files; an unknown one is fine."""
        site = self.layout.site(slug)
        self._hosts.remove_all_of(slug)
        if not site.is_dir():
            return
        aside = self.layout.staging / files.new_name("site")
        with file_lock(self.layout.site_lock(slug), wait_seconds=None):
            files.rename(site, aside)
        failpoints.hit("delete.site_moved")
        files.sync_folder(self.layout.root)
        files.remove_tree(aside)

    def delete_release(self, slug: str, digest: str) -> int:
        """Delete the files of a release and its own hosts; the manifest stays.

        Returns:
            the bytes that become free, once the blobs are swept.

        Raises:
            ReleaseMissingError: it is not here.
            ReleaseInUseError: an environment shows it.
        """
        shown = (current for _, current in self._pointers.all_of(slug))
        freed = self._releases.delete(slug, digest, in_use=shown)
        self._hosts.remove_all_of(f"{slug}/releases/{digest}")
        remove_variants(self.layout, slug, self._releases.contents_of_only(slug, digest))
        return freed

    def unique_bytes(self, slug: str, *digests: str) -> int:
        """Return how many bytes of these releases no other one, of any site, shares."""
        return self._releases.unique_bytes(slug, *digests)

    def sweep_blobs(self, *, older_than_seconds: float) -> int:
        """Delete contents that no release uses for that long; return the bytes freed."""
        return self._blobs.sweep(older_than_seconds=older_than_seconds)

    def sweep_staging(self, *, older_than_seconds: float) -> int:
        """Remove what crashed uploads left; return how many things were removed."""
        return sweep_staging(self.layout, older_than_seconds=older_than_seconds)

    def compress(self, slug: str, digest: str, should_stop: Callable[[], bool]) -> int:
        """Make the compressed variants a release lacks; return how many were written."""
        with files.disk_full_reported():
            manifest = self._releases.manifest(slug, digest)
            return compress_release(self.layout, slug, manifest, should_stop=should_stop)

    def variant(self, slug: str, sha256: str, encoding: str) -> Path | None:
        """Return the file of a content's `gzip` or `br` variant, None when there is none."""
        return variant_path(self.layout, slug, sha256, encoding)

    def iter_archive(self, slug: str, digest: str) -> Iterator[bytes]:
        """Yield the release as a tar.gz that is the same every time.

        Raises:
            ReleaseMissingError: its files are not here.
            DamagedReleaseError: a file is not what it should be; also while iterating.
        """
        manifest = self._releases.manifest(slug, digest)
        if not self.has_release(slug, digest):
            raise ReleaseMissingError("The release is not on this disk.")
        return archive_chunks(self.layout.release(slug, digest), manifest)

    def open_file(self, slug: str, digest: str, path: str) -> tuple[BinaryIO, ManifestEntry]:
        """Open one file of a release; no link is followed on the way.

        Raises:
            ReleaseMissingError: the site never had the release.
            FileMissingError: the release has no such file, or its files are gone.
            DamagedReleaseError: the file has another size than it should.
        """
        manifest = self._releases.manifest(slug, digest)
        return open_entry(self.layout.release(slug, digest), manifest, path)

    def sound_content(self, slug: str, digest: str, entry: ManifestEntry) -> Iterable[bytes] | None:
        """Return the bytes of a file of a release, hashed before; None when no copy is sound."""
        return sound_content(self.layout, entry, slug=slug, digest=digest)

    def importing(self) -> AbstractContextManager[ImportStage]:
        """Open a stage for contents and releases that come from a backup."""
        return importing(self.layout, self._blobs)

    def drift(
        self, slug: str, environment: str, expected: str | None, *, full: bool
    ) -> DriftReport:
        """Compare what an environment shows with the digest it should show."""
        return find_drift(
            self.layout,
            self._pointers,
            self._releases,
            slug=slug,
            environment=environment,
            expected=expected,
            full=full,
        )

    def free_bytes(self) -> int:
        """Return how many bytes may still be written."""
        status = os.statvfs(self.layout.root)
        return status.f_bavail * status.f_frsize

    def check_device(self) -> None:
        """Refuse a sites folder that spans file systems.

        Raises:
            SplitDeviceError: files cannot be linked from staging to where they belong.
        """
        check_device(self.layout)
