"""The contents one upload brings: hashed as they arrive, and written only when they are new."""

import errno
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage import files
from storage.blobs import Blobs, BlobState, blob_name, seal
from storage.manifests import Manifest
from storage.tree_writer import TreeWriter

MAX_BUFFERED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _New:
    path: str
    size_bytes: int
    is_renewed: bool = False


class ObjectStage:
    """Writes the new contents of one upload straight into the tree it will be.

    A content that exists already is not written again, unless it must be buffered on disk to
    learn its hash; a damaged one is repaired at once. The rest of the tree is linked once all
    is known.
    """

    def __init__(self, blobs: Blobs, *, blobs_folder: int, upload: Path) -> None:
        self.new_bytes = 0
        self.inodes: dict[str, int] = {}
        """Inodes of the sound blobs this upload shares, by hash."""
        self.tree = TreeWriter(upload / "tree")
        self._new: dict[str, _New] = {}
        self._placed: set[str] = set()
        self._blobs = blobs
        self._blobs_folder = blobs_folder
        self._numbers = itertools.count()
        self._upload = os.open(upload, files.OPEN_FOLDER)

    @property
    def has_new(self) -> bool:
        return bool(self._new)

    def close(self) -> None:
        self.tree.close()
        os.close(self._upload)

    def store(self, path: str, chunks: Iterator[bytes], size_bytes: int) -> str:
        """Take the content of the file at `path`; return its hash.

        Args:
            path: of the file in the release.
            chunks: all of the content; they end in an error when it is not right.
            size_bytes: how long it is.
        """
        if size_bytes > MAX_BUFFERED_BYTES:
            return self._store_large(path, chunks, size_bytes)
        data = b"".join(chunks)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._is_wanted(sha256, size_bytes, lambda: (data,)):
            self.tree.write(path, (data,), sha256)
            self._place(path, sha256, size_bytes)
        return sha256

    def _store_large(self, path: str, chunks: Iterator[bytes], size_bytes: int) -> str:
        name, sha256 = self._buffered(chunks)
        content = partial(_file_chunks, name, self._upload)
        if self._is_wanted(sha256, size_bytes, content):
            self.tree.move_in(path, name, source_folder=self._upload)
            self._place(path, sha256, size_bytes)
        else:
            os.unlink(name, dir_fd=self._upload)
        return sha256

    def _buffered(self, chunks: Iterator[bytes]) -> tuple[str, str]:
        name = f"large-{next(self._numbers)}"
        digest = hashlib.sha256()
        descriptor = os.open(name, files.NEW_FILE, 0o600, dir_fd=self._upload)
        try:
            for chunk in chunks:
                files.write_all(descriptor, chunk)
                digest.update(chunk)
            seal(descriptor, digest.hexdigest())
        finally:
            os.close(descriptor)
        return name, digest.hexdigest()

    def _place(self, path: str, sha256: str, size_bytes: int) -> None:
        self._placed.add(path)
        self._new[sha256] = _New(path, size_bytes)

    def _is_wanted(
        self, sha256: str, size_bytes: int, content: Callable[[], Iterable[bytes]]
    ) -> bool:
        """Tell whether the content must be written; repairs the blob if that is enough.

        A blob that looks sound is compared byte by byte: what a release shares is verified.
        """
        if sha256 in self._new or sha256 in self.inodes:
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

    def link_rest(self, manifest: Manifest) -> None:
        """Complete the tree with links to what was here before or came twice."""
        for entry in manifest.entries:
            if entry.path not in self._placed:
                self._link(entry.path, entry.sha256, entry.size_bytes)
        self.tree.seal_folders()

    def _link(self, path: str, sha256: str, size_bytes: int) -> None:
        source, folder = self._source(sha256)
        try:
            self.tree.link(path, source, source_folder=folder)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            self.tree.write(path, _file_chunks(source, folder), sha256)
            self._new[sha256] = _New(path, size_bytes, is_renewed=True)

    def _source(self, sha256: str) -> tuple[str, int]:
        new = self._new.get(sha256)
        if new is None:
            return blob_name(sha256), self._blobs_folder
        return new.path, self.tree.descriptor

    def publish(self) -> None:
        """Share the new contents with later uploads; they must be durable by now.

        Where another upload was faster its inode stays, so that most links share it.
        """
        for sha256, new in self._new.items():
            blob = self._blobs.look(self._blobs_folder, sha256, new.size_bytes)
            if new.is_renewed or blob.state is not BlobState.SOUND:
                self._share(sha256, new.path)

    def _share(self, sha256: str, path: str) -> None:
        try:
            self._blobs.share(self._blobs_folder, sha256, source=path, tree=self.tree.descriptor)
        except FileExistsError:
            name = f"shared-{next(self._numbers)}"
            os.link(path, name, src_dir_fd=self.tree.descriptor, dst_dir_fd=self._upload)
            files.rename_at(
                name,
                blob_name(sha256),
                source_folder=self._upload,
                target_folder=self._blobs_folder,
            )


def _file_chunks(name: str, folder: int) -> Iterator[bytes]:
    descriptor = os.open(name, files.READ_FILE, dir_fd=folder)
    try:
        yield from files.read_chunks(descriptor)
    finally:
        os.close(descriptor)
