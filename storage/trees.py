"""The folder of one release: made of links, sealed, and compared with its manifest."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage import files
from storage.blobs import hash_of, is_sealed, sealed_time
from storage.manifests import Manifest, ManifestEntry
from storage.objects import ObjectStage


@dataclass(frozen=True, slots=True)
class TreeReport:
    """How a release on disk differs from its manifest; all paths are sorted."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.missing or self.changed or self.extra)


def build_tree(path: Path, manifest: Manifest, objects: ObjectStage) -> None:
    """Make the folder `path` with a link for every file of the manifest.

    The inner folders are sealed; `path` itself stays writable, or it could not be moved.
    """
    files.make_folder(path)
    open_folders = [("", os.open(path, files.OPEN_FOLDER))]
    try:
        for entry in manifest.entries:
            folder, _, name = entry.path.rpartition("/")
            _enter(open_folders, folder)
            _link(objects, entry.sha256, name, open_folders[-1][1])
    finally:
        while open_folders:
            _leave(open_folders)


def _enter(open_folders: list[tuple[str, int]], folder: str) -> None:
    """Close and open folders until the last open one is `folder`; paths come sorted."""
    while not _is_within(folder, open_folders[-1][0]):
        _leave(open_folders)
    current, descriptor = open_folders[-1]
    for part in folder[len(current) :].strip("/").split("/") if folder != current else ():
        os.mkdir(part, 0o700, dir_fd=descriptor)
        descriptor = os.open(part, files.OPEN_FOLDER, dir_fd=descriptor)
        current = f"{current}/{part}" if current else part
        open_folders.append((current, descriptor))


def _is_within(folder: str, ancestor: str) -> bool:
    return not ancestor or folder == ancestor or folder.startswith(ancestor + "/")


def _leave(open_folders: list[tuple[str, int]]) -> None:
    name, descriptor = open_folders.pop()
    try:
        if name:
            os.fchmod(descriptor, files.FOLDER_MODE)
    finally:
        os.close(descriptor)


def _link(objects: ObjectStage, sha256: str, name: str, folder: int) -> None:
    try:
        objects.link(sha256, name, folder)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        objects.renew(sha256)
        objects.link(sha256, name, folder)


def check_tree(
    path: Path, manifest: Manifest, *, full: bool, inode_of: Callable[[str, int], int]
) -> TreeReport:
    """Compare a release's folder with its manifest.

    A file that is sealed and is the very inode of its blob is taken for right unless `full`;
    a sealed file of another inode is read.

    Args:
        path: the folder of the release.
        manifest: what it should hold.
        full: read and hash every file.
        inode_of: tells the inode of the sound blob for a hash and size, 0 when there is none.
    """
    wanted = manifest.by_path
    folders = {parent for entry in manifest.entries for parent in _parents(entry.path)}
    missing = set(wanted)
    changed, extra = set(), set()
    for found in _walk(path, folders):
        entry = wanted.get(found.path)
        if entry is None:
            extra.add(found.path)
            continue
        missing.discard(found.path)
        if not _is_right(found, entry, full=full, inode_of=inode_of):
            changed.add(found.path)
    return TreeReport(tuple(sorted(missing)), tuple(sorted(changed)), tuple(sorted(extra)))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    name: str
    folder: int
    status: os.stat_result


def _walk(path: Path, folders: set[str]) -> Iterator[_Found]:
    """Yield everything below `path` except the folders that should be there."""
    waiting = [("", str(path))]
    while waiting:
        prefix, folder_path = waiting.pop()
        try:
            descriptor = os.open(folder_path, files.OPEN_FOLDER)
        except (FileNotFoundError, NotADirectoryError, OSError):
            continue
        try:
            with os.scandir(descriptor) as found:
                for item in found:
                    inner = f"{prefix}{item.name}"
                    if item.is_dir(follow_symlinks=False) and inner in folders:
                        waiting.append((f"{inner}/", f"{folder_path}/{item.name}"))
                    else:
                        status = item.stat(follow_symlinks=False)
                        yield _Found(inner, item.name, descriptor, status)
        finally:
            os.close(descriptor)


def _is_right(
    found: _Found, entry: ManifestEntry, *, full: bool, inode_of: Callable[[str, int], int]
) -> bool:
    if not is_sealed(found.status, entry.sha256, entry.size_bytes):
        return False
    if not full and found.status.st_ino == inode_of(entry.sha256, entry.size_bytes):
        return True
    return _has_content(found, entry)


def _has_content(found: _Found, entry: ManifestEntry) -> bool:
    """Read a file; break the seal of a wrong one, so that a look finds it from now on."""
    try:
        descriptor = os.open(found.name, files.READ_FILE, dir_fd=found.folder)
    except OSError:
        return False
    try:
        right = hash_of(descriptor) == entry.sha256
        if not right:
            with suppress(OSError):
                broken = sealed_time(entry.sha256) + 1
                os.utime(descriptor, (broken, broken))
    finally:
        os.close(descriptor)
    return right


def seal_top(path: Path) -> None:
    """Make the folder of a finished release read-only."""
    path.chmod(files.FOLDER_MODE)


def is_folder(path: Path) -> bool:
    """Tell whether a real folder, not a link to one, lies at `path`."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
