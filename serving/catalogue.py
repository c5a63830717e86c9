"""The manifests of the releases being served, kept in bounded memory."""

import threading
from collections import OrderedDict

from serving.trees import open_file
from storage.errors import DamagedReleaseError
from storage.layout import Layout
from storage.manifests import Manifest

MAX_KEPT_FILES = 100_000
"""Files of all kept manifests together; about 40 MB for each process."""


class Catalogue:
    """Gives manifests by (slug, digest); safe to use from many threads.

    A digest names its content, so that what is kept here can never be out of date.
    """

    def __init__(self, layout: Layout, *, max_kept_files: int = MAX_KEPT_FILES) -> None:
        self._layout = layout
        self._max_kept_files = max_kept_files
        self._kept: OrderedDict[tuple[str, str], Manifest] = OrderedDict()
        self._kept_files = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def manifest(self, slug: str, digest: str) -> Manifest:
        """Return a release's manifest.

        Raises:
            DamagedReleaseError: it is absent, or not the manifest of this digest.
        """
        key = (slug, digest)
        manifest = self._find(key)
        if manifest is not None:
            return manifest
        with self._reading:
            # Another thread may have read it while this one waited.
            manifest = self._find(key) or self._read(slug, digest)
            self._keep(key, manifest)
        return manifest

    def _find(self, key: tuple[str, str]) -> Manifest | None:
        with self._lock:
            manifest = self._kept.get(key)
            if manifest is not None:
                self._kept.move_to_end(key)
            return manifest

    def _read(self, slug: str, digest: str) -> Manifest:
        file = open_file(self._layout.manifests(slug), f"{digest}.json")
        try:
            manifest = Manifest.from_json(file.read())
        finally:
            file.close()
        if manifest.digest != digest:
            raise DamagedReleaseError("The manifest belongs to another release.")
        return manifest

    def _keep(self, key: tuple[str, str], manifest: Manifest) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = manifest
            self._kept_files += manifest.file_count
            while self._kept_files > self._max_kept_files and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._kept_files -= dropped.file_count
