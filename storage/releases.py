"""The releases of a site on disk: their manifests, their trees, what they cost."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from storage import failpoints, files
from storage.blobs import Blobs, BlobState
from storage.errors import DamagedReleaseError, ReleaseInUseError, ReleaseMissingError
from storage.layout import Layout, is_digest
from storage.locks import file_lock
from storage.manifests import Manifest
from storage.trees import TreeReport, check_tree, is_folder


class Releases:
    """Reads, verifies and deletes releases."""

    def __init__(self, layout: Layout, blobs: Blobs) -> None:
        self._layout = layout
        self._blobs = blobs

    def exists(self, slug: str, digest: str) -> bool:
        """Tell whether the release is here; a tree under its final name is complete."""
        tree = self._layout.release(slug, digest)
        return is_folder(tree) and self._layout.manifest(slug, digest).is_file()

    def digests(self, slug: str) -> list[str]:
        """Return the releases that have a tree, sorted."""
        folder = self._layout.releases(slug)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(filter(is_digest, names))

    def manifest(self, slug: str, digest: str) -> Manifest:
        """Return what the release consists of; a deleted release keeps its manifest.

        Raises:
            ReleaseMissingError: there is no such manifest.
            DamagedReleaseError: the file was changed.
        """
        path = self._layout.manifest(slug, digest)
        try:
            manifest = Manifest.from_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ReleaseMissingError("The release is not on this disk.") from error
        if manifest.digest != digest:
            raise DamagedReleaseError("The manifest belongs to another release.")
        return manifest

    def verify(self, slug: str, digest: str, *, full: bool) -> TreeReport:
        """Compare the files with the manifest, which must exist.

        A file found wrong only by reading it loses its sealed time: every later look sees it.
        """
        manifest = self.manifest(slug, digest)
        with files.opened_folder(self._layout.blobs) as folder:

            def inode_of(sha256: str, size_bytes: int) -> int:
                blob = self._blobs.look(folder, sha256, size_bytes)
                return blob.inode if blob.state in (BlobState.SOUND, BlobState.FULL) else 0

            tree = self._layout.release(slug, digest)
            return check_tree(tree, manifest, full=full, inode_of=inode_of)

    def unique_bytes(self, slug: str, *digests: str) -> int:
        """Return how many bytes deleting all these releases would free, their blobs swept."""
        links, statuses = Counter[int](), {}
        blobs: set[int] = set()
        for digest in digests:
            for path in _files(self._layout.release(slug, digest)):
                status = path.lstat()
                links[status.st_ino] += 1
                statuses[status.st_ino] = status
            blobs |= self._blob_inodes(slug, digest)
        return sum(
            status.st_size
            for inode, status in statuses.items()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == links[inode] + (inode in blobs)
        )

    def _blob_inodes(self, slug: str, digest: str) -> set[int]:
        try:
            manifest = self.manifest(slug, digest)
        except (ReleaseMissingError, DamagedReleaseError):
            return set()
        with files.opened_folder(self._layout.blobs) as folder:
            looks = (
                self._blobs.look(folder, entry.sha256, entry.size_bytes)
                for entry in manifest.entries
            )
            return {blob.inode for blob in looks}

    def delete(self, slug: str, digest: str, *, in_use: Iterable[str]) -> int:
        """Delete a release's tree and the variants only it used; the manifest stays.

        Args:
            slug: the site.
            digest: the release.
            in_use: digests the site's environments show; read while the site is locked.

        Returns:
            the bytes that are free once the blobs are swept.

        Raises:
            ReleaseInUseError: an environment shows it.
            ReleaseMissingError: it is not here.
        """
        tree = self._layout.release(slug, digest)
        aside = self._layout.staging / files.new_name("deleted")
        with file_lock(self._layout.site_lock(slug), wait_seconds=None):
            if digest in in_use:
                raise ReleaseInUseError("An environment shows this release.")
            if not is_folder(tree):
                raise ReleaseMissingError("The release is not on this disk.")
            freed = self.unique_bytes(slug, digest)
            tree.chmod(0o755)
            files.rename(tree, aside)
            failpoints.hit("delete.tree_moved")
            files.sync_folder(tree.parent)
        files.remove_tree(aside)
        failpoints.hit("delete.tree_removed")
        return freed

    def contents_of_only(self, slug: str, digest: str) -> set[str]:
        """Return the hashes that, of the site's releases, only a deleted one had."""
        alone = {entry.sha256 for entry in self.manifest(slug, digest).entries}
        for other in self.digests(slug):
            if other != digest:
                alone -= {entry.sha256 for entry in self.manifest(slug, other).entries}
        return alone


def _files(tree: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(tree):
        for name in names:
            yield Path(folder, name)
