"""The folder of one release: made of links, sealed, and compared with its manifest."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage import files
from storage.blobs import hash_of, is_sealed, sealed_time
from storage.manifests import Manifest, ManifestEntry


@dataclass(frozen=True, slots=True)
class TreeReport:
    """How a release on disk differs from its manifest; all paths are sorted."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.missing or self.changed or self.extra)


def check_tree(
    path: Path, manifest: Manifest, *, full: bool, inode_of: Callable[[str, int], int]
) -> TreeReport:
    """Compare a release's folder with its manifest.

    A file that is the very inode of its sound blob is right unless `full`, and needs no look of
    its own; a sealed file of another inode is read.

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
    for found, item, folder in _walk(path, folders):
        entry = wanted.get(found)
        if entry is None:
            extra.add(found)
            continue
        missing.discard(found)
        if not full and item.inode() == inode_of(entry.sha256, entry.size_bytes):
            continue
        if not _is_right(item, entry, folder):
            changed.add(found)
    return TreeReport(tuple(sorted(missing)), tuple(sorted(changed)), tuple(sorted(extra)))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _walk(path: Path, folders: set[str]) -> Iterator[tuple[str, os.DirEntry[str], int]]:
    """Yield everything below `path`, with its open folder, except the folders that belong."""
    waiting = [("", str(path))]
    while waiting:
        prefix, folder_path = waiting.pop()
        try:
            descriptor = os.open(folder_path, files.OPEN_FOLDER)
        except OSError:
            continue
        try:
            with os.scandir(descriptor) as found:
                for item in found:
                    inner = prefix + item.name
                    if inner in folders and item.is_dir(follow_symlinks=False):
                        waiting.append((f"{inner}/", f"{folder_path}/{item.name}"))
                    else:
                        yield inner, item, descriptor
        finally:
            os.close(descriptor)


def _is_right(item: os.DirEntry[str], entry: ManifestEntry, folder: int) -> bool:
    """Read a sealed file; break the seal of a wrong one, so that a look finds it from now on."""
    if not is_sealed(item.stat(follow_symlinks=False), entry.sha256, entry.size_bytes):
        return False
    try:
        descriptor = os.open(item.name, files.READ_FILE, dir_fd=folder)
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
