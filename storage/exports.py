"""Files of a release on their way out: one of them, or all as an archive."""

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from storage import files
from storage.blobs import sealed_time
from storage.errors import (
    ArchiveRefusedError,
    DamagedReleaseError,
    FileMissingError,
    ReleaseMissingError,
)
from storage.manifests import Manifest, ManifestEntry
from storage.names import check_path
from storage.tar_headers import BLOCK, ZEROS

RECORD_BYTES = 20 * BLOCK
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A planted pipe must not hold the reader.
_FILE = files.READ_FILE | os.O_NONBLOCK


def open_beneath(tree: Path, path: str) -> BinaryIO:
    """Open a regular file below `tree` without following a link anywhere.

    Raises:
        FileMissingError: there is no such file, or the path could not name one.
    """
    try:
        check_path(path)
        descriptor = _open_each(tree, path.split("/"))
    except (ArchiveRefusedError, OSError) as error:
        raise FileMissingError("The release has no such file.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileMissingError("The release has no such file.")
    return os.fdopen(descriptor, "rb")


def _open_each(tree: Path, parts: list[str]) -> int:
    folder = os.open(tree, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def open_entry(tree: Path, manifest: Manifest, path: str) -> tuple[BinaryIO, ManifestEntry]:
    """Open one file of a release and tell what it is.

    Raises:
        FileMissingError: the release has no file of that path.
        DamagedReleaseError: its size is not the one it should have.
    """
    entry = manifest.by_path.get(path)
    if entry is None:
        raise FileMissingError("The release has no such file.")
    file = open_beneath(tree, path)
    if os.fstat(file.fileno()).st_size != entry.size_bytes:
        file.close()
        raise DamagedReleaseError("The file was changed.", changed=(path,))
    return file, entry


def archive_chunks(tree: Path, manifest: Manifest) -> Iterator[bytes]:
    """Yield a tar.gz of the release; the same bytes on every machine and at any time.

    Raises:
        DamagedReleaseError: a file is not what the manifest says; the archive then lacks its
            end, so that nobody takes it for whole.
    """
    if not tree.is_dir():
        raise ReleaseMissingError("The release is not on this disk.")
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for block in _tar_blocks(tree, manifest):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()


def _tar_blocks(tree: Path, manifest: Manifest) -> Iterator[bytes]:
    written = 0
    for entry in manifest.entries:
        for block in _entry_blocks(tree, entry):
            written += len(block)
            yield block
    yield ZEROS * 2
    yield bytes(-(written + 2 * BLOCK) % RECORD_BYTES)


def _entry_blocks(tree: Path, entry: ManifestEntry) -> Iterator[bytes]:
    header = tarfile.TarInfo(entry.path)
    header.size = entry.size_bytes
    header.mode = 0o644
    header.mtime = sealed_time(entry.sha256)
    yield header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    digest = hashlib.sha256()
    size = 0
    try:
        with open_beneath(tree, entry.path) as file:
            for chunk in files.read_chunks(file.fileno()):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
    except FileMissingError as error:
        raise DamagedReleaseError("A file is missing.", missing=(entry.path,)) from error
    if digest.hexdigest() != entry.sha256:
        raise DamagedReleaseError("A file was changed.", changed=(entry.path,))
    yield bytes(-size % BLOCK)
