"""Contents and releases that come from a backup instead of from an upload.

Nothing here is durable before `sync`, and nothing is served before it has a pointer. Everything
can be repeated: what is there already is compared byte by byte and kept.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from storage import files
from storage.blobs import Blobs, BlobState, blob_name, seal
from storage.errors import DamagedReleaseError
from storage.layout import Layout
from storage.manifests import Manifest
from storage.staging import UploadFolder, upload_folder
from storage.tree_writer import TreeWriter
from storage.trees import check_tree, is_folder, seal_top


class ImportStage:
    """Puts contents and releases where uploads would have put them."""

    def __init__(
        self, layout: Layout, blobs: Blobs, *, blobs_folder: int, folder: UploadFolder
    ) -> None:
        self._layout = layout
        self._blobs = blobs
        self._blobs_folder = blobs_folder
        self._folder = folder
        self._count = 0

    def add_content(
        self, sha256: str, size_bytes: int, content: Callable[[], Iterable[bytes]]
    ) -> None:
        """Store a content unless it is there.

        Raises:
            DamagedReleaseError: the bytes are not those of the hash.
        """
        blob = self._blobs.look(self._blobs_folder, sha256, size_bytes)
        if blob.state in (BlobState.SOUND, BlobState.FULL) and self._blobs.holds(
            self._blobs_folder, sha256, content()
        ):
            return
        self._write_blob(sha256, content())

    def add_release(self, slug: str, manifest: Manifest) -> bool:
        """Build the folder of a release from stored contents; write its manifest.

        Returns:
            whether it is whole: contents that were not stored are left out.
        """
        layout = self._layout
        for path in (layout.site(slug), layout.manifests(slug), layout.releases(slug)):
            files.make_folder(path)
        files.make_folder(layout.state(slug), mode=0o755)
        self.add_manifest(slug, manifest)
        final = layout.release(slug, manifest.digest)
        if self._is_sound(final, manifest):
            return True
        files.remove_tree(final)
        files.rename(self._built(manifest), final)
        seal_top(final)
        return self._is_sound(final, manifest)

    def add_manifest(self, slug: str, manifest: Manifest) -> None:
        """Write a manifest alone: what is left of a release whose files were deleted."""
        files.make_folder(self._layout.site(slug))
        files.make_folder(self._layout.manifests(slug))
        draft = self._new_path()
        draft.write_bytes(manifest.to_json().encode())
        draft.chmod(0o644)
        files.rename(draft, self._layout.manifest(slug, manifest.digest))

    def sync(self) -> None:
        """Make everything durable."""
        files.sync_filesystem(self._folder.descriptor)

    def _write_blob(self, sha256: str, chunks: Iterable[bytes]) -> None:
        path = self._new_path()
        descriptor = os.open(path, files.NEW_FILE, 0o600)
        digest = hashlib.sha256()
        try:
            for chunk in chunks:
                digest.update(chunk)
                files.write_all(descriptor, chunk)
            if digest.hexdigest() != sha256:
                raise DamagedReleaseError("A content is not what its name says.")
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)
        target = self._layout.blobs / blob_name(sha256)
        if is_folder(target):
            files.remove_tree(target)
        files.rename(path, target)

    def _is_sound(self, final: Path, manifest: Manifest) -> bool:
        if not is_folder(final):
            return False

        def inode_of(sha256: str, size_bytes: int) -> int:
            blob = self._blobs.look(self._blobs_folder, sha256, size_bytes)
            return blob.inode if blob.state in (BlobState.SOUND, BlobState.FULL) else 0

        return check_tree(final, manifest, full=False, inode_of=inode_of).clean

    def _built(self, manifest: Manifest) -> Path:
        with closing(TreeWriter(self._new_path())) as tree:
            for entry in manifest.entries:
                blob = self._blobs.look(self._blobs_folder, entry.sha256, entry.size_bytes)
                if blob.state in (BlobState.SOUND, BlobState.FULL):
                    self._link(tree, entry.path, entry.sha256)
            tree.seal_folders()
            return tree.path

    def _link(self, tree: TreeWriter, path: str, sha256: str) -> None:
        name = blob_name(sha256)
        try:
            tree.link(path, name, source_folder=self._blobs_folder)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            # The inode takes no further link: later ones share a new one.
            self._write_blob(sha256, _chunks(self._layout.blobs / name))
            tree.link(path, name, source_folder=self._blobs_folder)

    def _new_path(self) -> Path:
        self._count += 1
        return self._folder.path / str(self._count)


@contextmanager
def importing(layout: Layout, blobs: Blobs) -> Iterator[ImportStage]:
    """Yield a stage; what is half made when it ends is removed."""
    with files.disk_full_reported(), upload_folder(layout) as folder, blobs.in_use() as shared:
        yield ImportStage(layout, blobs, blobs_folder=shared, folder=folder)


def _chunks(path: Path) -> Iterator[bytes]:
    descriptor = os.open(path, files.READ_FILE)
    try:
        yield from files.read_chunks(descriptor)
    finally:
        os.close(descriptor)
