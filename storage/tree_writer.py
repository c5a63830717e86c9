"""The private folder in which an upload becomes a tree, before anybody can see it."""

import os
from collections.abc import Iterable
from pathlib import Path

from storage import files
from storage.blobs import seal


class TreeWriter:
    """Puts files at their paths below a new folder.

    Every folder is made here and opened without following links; every file is created
    exclusively. The paths must have passed the name rule.
    """

    def __init__(self, path: Path) -> None:
        files.make_folder(path)
        self.path = path
        self.descriptor = os.open(path, files.OPEN_FOLDER)
        self._known = {""}
        self._current = ("", os.dup(self.descriptor))

    def close(self) -> None:
        os.close(self._current[1])
        os.close(self.descriptor)

    def write(self, path: str, chunks: Iterable[bytes], sha256: str) -> None:
        """Create a sealed file of known content."""
        folder, name = self._enter(path)
        descriptor = os.open(name, files.NEW_FILE, 0o600, dir_fd=folder)
        try:
            for chunk in chunks:
                files.write_all(descriptor, chunk)
            seal(descriptor, sha256)
        finally:
            os.close(descriptor)

    def move_in(self, path: str, source: str, *, source_folder: int) -> None:
        """Take over a file that was written elsewhere."""
        folder, name = self._enter(path)
        files.rename_at(source, name, source_folder=source_folder, target_folder=folder)

    def link(self, path: str, source: str, *, source_folder: int) -> None:
        """Give an existing file another name.

        Raises:
            OSError: with EMLINK, when its inode takes no further link.
        """
        folder, name = self._enter(path)
        os.link(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)

    def _enter(self, path: str) -> tuple[int, str]:
        """Return an open folder and the name in it; the last folder stays open."""
        folder, _, name = path.rpartition("/")
        if self._current[0] != folder:
            self._make(folder)
            descriptor = os.open(folder or ".", files.OPEN_FOLDER, dir_fd=self.descriptor)
            os.close(self._current[1])
            self._current = (folder, descriptor)
        return self._current[1], name

    def _make(self, folder: str) -> None:
        missing = []
        while folder not in self._known:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for path in reversed(missing):
            os.mkdir(path, 0o700, dir_fd=self.descriptor)
            self._known.add(path)

    def seal_folders(self) -> None:
        """Make the inner folders read-only; the top stays writable, or it could not be moved."""
        for folder in self._known - {""}:
            os.chmod(folder, files.FOLDER_MODE, dir_fd=self.descriptor)
