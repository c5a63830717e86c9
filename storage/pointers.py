"""Which release an environment shows: one symbolic link, switched by one rename."""

import errno
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from storage import failpoints, files
from storage.errors import DamagedReleaseError, PointerError, ReleaseMissingError, StorageError
from storage.journals import Journal, OfflineRollback, capped, first_journal
from storage.layout import Layout, checked_digest
from storage.locks import file_lock
from storage.releases import Releases
from storage.staging import staged, staged_names
from storage.way_back import is_behind, way_back

_TARGET = re.compile(r"releases/([0-9a-f]{64})")


class Pointers:
    """Reads and moves the pointers of all sites."""

    def __init__(self, layout: Layout, releases: Releases) -> None:
        self._layout = layout
        self._releases = releases

    def read(self, slug: str, environment: str) -> str | None:
        """Return the digest the environment shows, None before its first release.

        Raises:
            PointerError: something else lies in the pointer's place.
        """
        path = self._layout.pointer(slug, environment)
        try:
            target = str(path.readlink())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise PointerError("The pointer of the environment is not a link.") from error
        match = _TARGET.fullmatch(target)
        if match is None:
            raise PointerError("The pointer of the environment leads elsewhere.")
        return match[1]

    def all_of(self, slug: str) -> Iterator[tuple[str, str]]:
        """Yield environment and digest of every pointer that is in order."""
        site = self._layout.site(slug)
        for path in site.iterdir() if site.is_dir() else ():
            match = _TARGET.fullmatch(str(path.readlink())) if path.is_symlink() else None
            if match:
                yield path.name, match[1]

    def journal(self, slug: str, environment: str) -> Journal | None:
        """Return what the last switch wrote, None before the first.

        Raises:
            PointerError: the file is not a journal.
        """
        try:
            data = self._layout.journal(slug, environment).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Journal.from_json(data)

    def write_journal(self, slug: str, environment: str, journal: Journal) -> None:
        """Replace the journal durably; the pointer stays."""
        with (
            files.disk_full_reported(),
            self._site_locked(slug),
            staged(self._layout, "journal") as new,
        ):
            self._write_journal(slug, environment, journal, new)

    def _write_journal(self, slug: str, environment: str, journal: Journal, new: Path) -> None:
        path, folder = self._layout.journal(slug, environment), self._layout.state(slug)
        if not folder.is_dir():
            files.make_folder(self._layout.site(slug))
            files.make_folder(folder)
        files.write_durably(new, capped(journal).to_json())
        failpoints.hit("journal.written")
        files.rename(new, path)
        failpoints.hit("journal.renamed")
        files.sync_folder(folder)
        failpoints.hit("journal.done")

    def switch(self, slug: str, environment: str, journal: Journal) -> None:
        """Let the environment show `journal.to_digest`, all at once for every visitor.

        The journal is durable before the link moves, so that a crash in between can be told.

        Raises:
            ReleaseMissingError: that release is not here.
            PointerError: what lies in the pointer's place is not a link.
        """
        with files.disk_full_reported(), self._site_locked(slug):
            self._switch(slug, environment, journal)

    def _switch(self, slug: str, environment: str, journal: Journal) -> None:
        if not self._releases.exists(slug, journal.to_digest):
            raise ReleaseMissingError("The release is not on this disk.")
        pointer = self._layout.pointer(slug, environment)
        if _is_foreign(pointer):
            raise PointerError("The pointer of the environment is not a link.")
        with staged_names(self._layout, "journal", "pointer") as (new, link):
            self._write_journal(slug, environment, journal, new)
            failpoints.hit("switch.journal_done")
            link.symlink_to(f"releases/{checked_digest(journal.to_digest)}")
            failpoints.hit("switch.link_made")
            files.rename(link, pointer)
        failpoints.hit("switch.link_renamed")
        files.sync_folder(self._layout.site(slug))
        failpoints.hit("switch.done")

    def roll_back_offline(
        self,
        slug: str,
        environment: str,
        *,
        to_digest: str | None,
        by: str,
        reason: str | None,
        at: str,
    ) -> Journal:
        """Switch to an earlier release with nothing but the disk.

        The journal keeps who did it and why until the database has it. A journal that cannot
        be read is begun anew.

        Args:
            slug: the site.
            environment: the environment.
            to_digest: None means the nearest on the way back whose files look untouched; asked
                again, it goes further back.
            by: who asks.
            reason: why.
            at: when, as it is to be written.

        Raises:
            ReleaseMissingError: there is nothing to go back to.
            DamagedReleaseError: the release named was changed.
        """
        with files.disk_full_reported(), self._site_locked(slug):
            current = self._current(slug, environment)
            old = self._readable_journal(slug, environment)
            if to_digest is not None and to_digest == current:
                raise StorageError("The environment shows this release already.")
            target = self._checked_target(slug, to_digest) if to_digest else None
            target = target or self._newest_usable(slug, old, current)
            new = _offline_journal(old, current, target)
            rollback = OfflineRollback(
                secrets.token_hex(16), by, reason, at, current, target, new.generation
            )
            new = replace(new, at=at, offline=(*new.offline, rollback))
            self._switch(slug, environment, new)
            return new

    def _current(self, slug: str, environment: str) -> str | None:
        try:
            return self.read(slug, environment)
        except PointerError:
            return None

    def _readable_journal(self, slug: str, environment: str) -> Journal | None:
        try:
            return self.journal(slug, environment)
        except PointerError:
            return None

    def _checked_target(self, slug: str, digest: str) -> str:
        report = self._releases.verify(slug, digest, full=False)
        if not report.clean:
            raise DamagedReleaseError(
                "The files of the release were changed.",
                missing=report.missing,
                changed=report.changed + report.extra,
            )
        return digest

    def _newest_usable(self, slug: str, journal: Journal | None, current: str | None) -> str:
        for digest in way_back(journal.chain(current) if journal else [], current):
            if self._is_usable(slug, digest):
                return digest
        raise ReleaseMissingError("There is no earlier release to go back to.")

    def _is_usable(self, slug: str, digest: str) -> bool:
        try:
            exists = self._releases.exists(slug, digest)
            return exists and self._releases.verify(slug, digest, full=False).clean
        except DamagedReleaseError:
            return False

    def remove(self, slug: str, environment: str) -> None:
        """Remove pointer and journal; the releases stay."""
        if not self._layout.site(slug).is_dir():
            return
        with self._site_locked(slug):
            pointer = self._layout.pointer(slug, environment)
            if _is_foreign(pointer):
                raise PointerError("The pointer of the environment is not a link.")
            pointer.unlink(missing_ok=True)
            failpoints.hit("environment.link_removed")
            journal = self._layout.journal(slug, environment)
            journal.unlink(missing_ok=True)
            failpoints.hit("environment.journal_removed")
            files.sync_folder(pointer.parent)
            if journal.parent.is_dir():
                files.sync_folder(journal.parent)

    def _site_locked(self, slug: str) -> AbstractContextManager[None]:
        return file_lock(self._layout.site_lock(slug), wait_seconds=None)


def _is_foreign(pointer: Path) -> bool:
    return not pointer.is_symlink() and pointer.exists()


def _offline_journal(old: Journal | None, current: str | None, target: str) -> Journal:
    if old is None:
        return first_journal(
            generation=1, promotion=None, from_digest=current, to_digest=target, release=None, at=""
        )
    entries = (*old.history, *old.base)
    release = next((item.release for item in entries if item.digest == target), None)
    shown = replace(old, history=old.shown(current))
    new = shown.following(
        promotion=None,
        to_digest=target,
        release=release,
        at="",
        is_return=is_behind(old.chain(current), target),
    )
    return replace(new, from_digest=current)
