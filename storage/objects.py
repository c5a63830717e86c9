"""The contents one upload brings: hashed as they arrive, and kept only when they are new."""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage import files
from storage.blobs import Blobs, BlobState, blob_name, seal

MAX_BUFFERED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Staged:
    name: str
    size_bytes: int
    is_renewed: bool


class ObjectStage:
    """New contents of one upload, in a private folder until they are durable.

    A content that exists already is not written again, unless it must be buffered on disk to
    learn its hash; a damaged one is repaired at once. Staged files have short names in order:
    a folder of a thousand long random names costs five times as much to fill.
    """

    def __init__(self, blobs: Blobs, *, blobs_folder: int, path: Path) -> None:
        files.make_folder(path, mode=0o700)
        self.new_bytes = 0
        self.inodes: dict[str, int] = {}
        """Inodes of the sound blobs this upload shares, by hash."""
        self._staged: dict[str, _Staged] = {}
        self._blobs = blobs
        self._blobs_folder = blobs_folder
        self._numbers = itertools.count()
        self._descriptor = os.open(path, files.OPEN_FOLDER)

    @property
    def has_new(self) -> bool:
        return bool(self._staged)

    def close(self) -> None:
        os.close(self._descriptor)

    def store(self, chunks: Iterator[bytes], size_bytes: int) -> str:
        """Take one file's content, which `size_bytes` states rightly; return its hash."""
        if size_bytes > MAX_BUFFERED_BYTES:
            return self._store_large(chunks, size_bytes)
        data = b"".join(chunks)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._is_wanted(sha256, size_bytes, lambda: (data,)):
            name, _, _ = self._write((data,), sha256)
            self._staged[sha256] = _Staged(name, size_bytes, is_renewed=False)
        return sha256

    def _store_large(self, chunks: Iterator[bytes], size_bytes: int) -> str:
        name, sha256, _ = self._write(chunks)
        content = partial(_file_chunks, name, self._descriptor)
        if self._is_wanted(sha256, size_bytes, content):
            self._staged[sha256] = _Staged(name, size_bytes, is_renewed=False)
        else:
            os.unlink(name, dir_fd=self._descriptor)
        return sha256

    def _is_wanted(
        self, sha256: str, size_bytes: int, content: Callable[[], Iterable[bytes]]
    ) -> bool:
        """Tell whether a new object must be staged; repairs the blob if that is enough.

        A blob that looks sound is compared byte by byte: what a release shares is verified.
        """
        if sha256 in self._staged or sha256 in self.inodes:
            return False
        folder = self._blobs_folder
        blob = self._blobs.look(folder, sha256, size_bytes)
        sound = blob.state is BlobState.SOUND and self._blobs.holds(folder, sha256, content())
        if not sound and blob.state in (BlobState.SOUND, BlobState.DAMAGED):
            sound = self._blobs.heal(folder, sha256, content())
            self.new_bytes += size_bytes if sound else 0
        if sound:
            self.inodes[sha256] = blob.inode
            return False
        self.new_bytes += size_bytes
        return True

    def _write(self, chunks: Iterable[bytes], sha256: str | None = None) -> tuple[str, str, int]:
        """Write and seal a staged file; return its name, hash and size."""
        name = str(next(self._numbers))
        digest = hashlib.sha256()
        size_bytes = 0
        descriptor = os.open(name, files.NEW_FILE, 0o600, dir_fd=self._descriptor)
        try:
            for chunk in chunks:
                files.write_all(descriptor, chunk)
                size_bytes += len(chunk)
                if sha256 is None:
                    digest.update(chunk)
            sha256 = sha256 or digest.hexdigest()
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)
        return name, sha256, size_bytes

    def link(self, sha256: str, name: str, folder: int) -> None:
        """Give a content a name in an open folder of the new release.

        Raises:
            OSError: with EMLINK, when the inode takes no further link; see `renew`.
        """
        source, source_folder = self._source(sha256)
        os.link(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)

    def renew(self, sha256: str) -> None:
        """Stage a copy of a content whose inode cannot take more links."""
        name, _, size_bytes = self._write(_file_chunks(*self._source(sha256)), sha256)
        self._staged[sha256] = _Staged(name, size_bytes, is_renewed=True)

    def _source(self, sha256: str) -> tuple[str, int]:
        staged = self._staged.get(sha256)
        if staged is None:
            return blob_name(sha256), self._blobs_folder
        return staged.name, self._descriptor

    def publish(self) -> None:
        """Move the staged objects to their shared names; they must be durable by now."""
        for sha256, staged in self._staged.items():
            if staged.is_renewed or not self._is_there(sha256, staged.size_bytes):
                self._blobs.publish(
                    self._blobs_folder, sha256, staged=staged.name, staged_in=self._descriptor
                )

    def _is_there(self, sha256: str, size_bytes: int) -> bool:
        """Tell whether another upload was faster; its inode stays, so that most links share it."""
        blob = self._blobs.look(self._blobs_folder, sha256, size_bytes)
        return blob.state is BlobState.SOUND


def _file_chunks(name: str, folder: int) -> Iterator[bytes]:
    descriptor = os.open(name, files.READ_FILE, dir_fd=folder)
    try:
        yield from files.read_chunks(descriptor)
    finally:
        os.close(descriptor)
