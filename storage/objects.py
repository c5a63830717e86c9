"""The contents one upload brings: hashed as they arrive, and kept only when they are new."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from storage import files
from storage.blobs import Blobs, BlobState, blob_name, seal

MAX_BUFFERED_BYTES = 1024 * 1024


class ObjectStage:
    """Objects of one upload, named by their hash in a private folder.

    A content that exists already is not written again, unless it must be buffered on disk to
    learn its hash; a damaged one is repaired at once.
    """

    def __init__(self, blobs: Blobs, *, blobs_folder: int, path: Path) -> None:
        files.make_folder(path, mode=0o700)
        self.new_bytes = 0
        self.staged: dict[str, int] = {}
        """Sizes of the objects that are new, by hash."""
        self._renewed: set[str] = set()
        self.inodes: dict[str, int] = {}
        self._blobs = blobs
        self._blobs_folder = blobs_folder
        self._path = path
        self._numbers = itertools.count()
        self.descriptor = os.open(path, files.OPEN_FOLDER)

    def close(self) -> None:
        os.close(self.descriptor)

    def store(self, chunks: Iterator[bytes], size_bytes: int) -> str:
        """Take one file's content, which `size_bytes` states rightly; return its hash."""
        if size_bytes <= MAX_BUFFERED_BYTES:
            data = b"".join(chunks)
            sha256 = hashlib.sha256(data).hexdigest()
            if self._is_wanted(sha256, size_bytes, (data,)):
                self._write(sha256, data)
            return sha256
        return self._store_large(chunks, size_bytes)

    def _store_large(self, chunks: Iterator[bytes], size_bytes: int) -> str:
        name = f"large-{next(self._numbers)}"
        digest = hashlib.sha256()
        descriptor = os.open(name, files.NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            for chunk in chunks:
                digest.update(chunk)
                files.write_all(descriptor, chunk)
            sha256 = digest.hexdigest()
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)
        if self._is_wanted(sha256, size_bytes, _file_chunks(name, self.descriptor)):
            self._rename(name, sha256)
        else:
            os.unlink(name, dir_fd=self.descriptor)
        return sha256

    def _is_wanted(self, sha256: str, size_bytes: int, content: Iterable[bytes]) -> bool:
        """Tell whether a new object must be staged; repairs the blob if that is enough."""
        if sha256 in self.staged or sha256 in self.inodes:
            return False
        blob = self._blobs.look(self._blobs_folder, sha256, size_bytes)
        sound = blob.state is BlobState.SOUND
        if blob.state is BlobState.DAMAGED:
            sound = self._blobs.heal(self._blobs_folder, sha256, content)
            self.new_bytes += size_bytes if sound else 0
        if sound:
            self.inodes[sha256] = blob.inode
            return False
        self.new_bytes += size_bytes
        self.staged[sha256] = size_bytes
        return True

    def _write(self, sha256: str, data: bytes) -> None:
        descriptor = os.open(sha256, files.NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            files.write_all(descriptor, data)
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)

    def link(self, sha256: str, name: str, folder: int) -> None:
        """Give a content a name in an open folder of the new release.

        Raises:
            OSError: with EMLINK, when the inode takes no further link; see `renew`.
        """
        if sha256 in self.staged:
            os.link(sha256, name, src_dir_fd=self.descriptor, dst_dir_fd=folder)
        else:
            source = blob_name(sha256)
            os.link(source, name, src_dir_fd=self._blobs_folder, dst_dir_fd=folder)

    def renew(self, sha256: str) -> None:
        """Stage a copy of a content whose inode cannot take more links."""
        is_staged = sha256 in self.staged
        folder = self.descriptor if is_staged else self._blobs_folder
        source = sha256 if is_staged else blob_name(sha256)
        name = f"copy-{next(self._numbers)}"
        size_bytes = 0
        descriptor = os.open(name, files.NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            for chunk in _file_chunks(source, folder):
                files.write_all(descriptor, chunk)
                size_bytes += len(chunk)
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)
        self._rename(name, sha256)
        self.staged[sha256] = size_bytes
        self._renewed.add(sha256)

    def _rename(self, name: str, sha256: str) -> None:
        files.rename_at(name, sha256, source_folder=self.descriptor, target_folder=self.descriptor)

    def publish(self) -> None:
        """Move the staged objects to their shared names; they must be durable by now."""
        for sha256, size_bytes in self.staged.items():
            self._blobs.publish(
                self._blobs_folder,
                sha256,
                size_bytes,
                staged=self.descriptor,
                is_renewed=sha256 in self._renewed,
            )


def _file_chunks(name: str, folder: int) -> Iterator[bytes]:
    descriptor = os.open(name, files.READ_FILE, dir_fd=folder)
    try:
        yield from files.read_chunks(descriptor)
    finally:
        os.close(descriptor)
