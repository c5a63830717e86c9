"""Contents of files, each stored once under its SHA-256 and shared by hard links."""

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from storage import failpoints, files
from storage.layout import Layout
from storage.locks import LockBusyError, file_lock

SWEEP_WAIT_SECONDS = 1.0
SWEEP_PAUSE_SECONDS = 0.001

_FIRST_SEALED_SECOND = 631_152_000  # 1990-01-01
_SEALED_SECONDS = 946_684_800  # thirty years
FOLDERS = tuple(f"{number:02x}" for number in range(256))


def sealed_time(sha256: str) -> int:
    """Return the modification second that a file of this content carries.

    A web server's own ETag of time and size so changes with the content, and an edit in
    place is seen without reading the file.
    """
    return _FIRST_SEALED_SECOND + int(sha256[:15], 16) % _SEALED_SECONDS


def seal(descriptor: int, sha256: str) -> None:
    """Mark a complete file as the content `sha256`: read-only, with its own time."""
    os.fchmod(descriptor, files.FILE_MODE)
    second = sealed_time(sha256)
    os.utime(descriptor, (second, second))


def is_sealed(status: os.stat_result, sha256: str, size_bytes: int) -> bool:
    """Tell whether a file looks untouched since it was sealed."""
    return (
        status.st_size == size_bytes
        and status.st_mtime_ns == sealed_time(sha256) * 1_000_000_000
        and status.st_mode == stat.S_IFREG | files.FILE_MODE
    )


class BlobState(Enum):
    """What lies under a content's name."""

    ABSENT = "absent"
    SOUND = "sound"
    FULL = "full"
    """Sound, but it cannot take another link."""
    DAMAGED = "damaged"


class Blob(NamedTuple):
    """One look at a blob; the inode is 0 when there is none."""

    state: BlobState
    inode: int = 0


class Blobs:
    """The shared contents below one sites folder.

    Args:
        layout: where they lie.
        max_links: after how many links a new inode is made; None lets the file system decide.
    """

    def __init__(self, layout: Layout, *, max_links: int | None = None) -> None:
        self._layout = layout
        self._max_links = max_links

    def prepare(self) -> None:
        files.make_folder(self._layout.blobs, mode=0o700)
        for name in FOLDERS:
            files.make_folder(self._layout.blobs / name, mode=0o700)

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """Keep the sweeper out while blobs are looked up and linked; yields their folder."""
        with (
            file_lock(self._layout.blobs_lock, exclusive=False, wait_seconds=None),
            files.opened_folder(self._layout.blobs) as descriptor,
        ):
            yield descriptor

    def look(self, folder: int, sha256: str, size_bytes: int) -> Blob:
        """Look at the blob without reading it."""
        try:
            status = os.stat(blob_name(sha256), dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return Blob(BlobState.ABSENT)
        if not is_sealed(status, sha256, size_bytes):
            return Blob(BlobState.DAMAGED, status.st_ino)
        if self._max_links is not None and status.st_nlink >= self._max_links:
            return Blob(BlobState.FULL, status.st_ino)
        return Blob(BlobState.SOUND, status.st_ino)

    def holds(self, folder: int, sha256: str, content: Iterable[bytes]) -> bool:
        """Compare a blob of the right size with the content it should have."""
        descriptor = os.open(blob_name(sha256), files.READ_FILE, dir_fd=folder)
        try:
            return all(os.read(descriptor, len(chunk)) == chunk for chunk in content)
        finally:
            os.close(descriptor)

    def heal(self, folder: int, sha256: str, content: Iterable[bytes]) -> bool:
        """Write the right content into a damaged blob, so that all its links are right again.

        Returns False when what lies there is no file; it is then removed.
        """
        name = blob_name(sha256)
        path = self._layout.blobs / name
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            files.remove_tree(path)
            return False
        path.chmod(0o600)
        descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            for chunk in content:
                files.write_all(descriptor, chunk)
            os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))
            failpoints.hit("heal.rewritten")
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)
        return True

    def share(self, folder: int, sha256: str, *, source: str, tree: int) -> None:
        """Give a finished file of a tree, already durable, its name among the blobs."""
        target = blob_name(sha256)
        try:
            os.link(source, target, src_dir_fd=tree, dst_dir_fd=folder)
        except FileNotFoundError:
            files.make_folder(self._layout.blobs / sha256[:2], mode=0o700)
            os.link(source, target, src_dir_fd=tree, dst_dir_fd=folder)

    def sweep(self, *, older_than_seconds: float) -> int:
        """Delete blobs that no release uses and whose last link is gone for long enough.

        Uploads go first: a folder whose lock cannot be had soon ends the sweep.

        Returns:
            the bytes freed.
        """
        freed = 0
        for name in FOLDERS:
            try:
                with file_lock(self._layout.blobs_lock, wait_seconds=SWEEP_WAIT_SECONDS):
                    freed += _sweep_folder(self._layout.blobs / name, older_than_seconds)
            except LockBusyError:
                break
            # A lock taken again at once would be won by the sweeper each time.
            time.sleep(SWEEP_PAUSE_SECONDS)
        return freed


def _sweep_folder(folder: Path, older_than_seconds: float) -> int:
    if not folder.is_dir():
        return 0
    freed = 0
    # The change time tells when the last link went; the modification time is sealed.
    newest = time.time() - older_than_seconds
    for path in folder.iterdir():
        status = path.lstat()
        if status.st_nlink == 1 and status.st_ctime <= newest and stat.S_ISREG(status.st_mode):
            path.unlink()
            failpoints.hit("sweep.blob_removed")
            freed += status.st_size
    return freed


def blob_name(sha256: str) -> str:
    """Return a blob's path below the folder of blobs."""
    return f"{sha256[:2]}/{sha256}"


def hash_of(descriptor: int) -> str:
    """Return the SHA-256 of an open file."""
    digest = hashlib.sha256()
    for chunk in files.read_chunks(descriptor):
        digest.update(chunk)
    return digest.hexdigest()
