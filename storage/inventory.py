"""What an archive says it holds, checked entry by entry before anything is written."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from storage.errors import ArchiveRefusedError, LimitReachedError
from storage.names import collision_key
from storage.rules import ArchiveRule

FOLDERS_PER_FILE = 4
"""How many folder entries are read for each file the limit allows."""


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much one upload may bring."""

    max_upload_bytes: int
    max_release_bytes: int
    max_files: int
    max_file_bytes: int
    max_path_depth: int


@dataclass(frozen=True, kw_only=True)
class InlineLimits:
    """How much may be unpacked while somebody waits for the answer."""

    max_files: int
    max_bytes: int


class TakesLongError(Exception):
    """The archive holds more than is unpacked while somebody waits."""


class Strip(StrEnum):
    """What to do about one folder that encloses everything in the archive."""

    AUTO = "auto"
    NEVER = "0"
    ALWAYS = "1"


class ArchiveEntry(NamedTuple):
    """One entry; `position` is the reader's own business."""

    path: str
    is_folder: bool
    size_bytes: int
    position: int


class Inventory:
    """Collects entries and refuses the first that breaks a rule or a limit.

    With `inline` it also stops, by TakesLongError, when there is more than that.
    """

    def __init__(self, limits: ArchiveLimits, inline: InlineLimits | None = None) -> None:
        self.limits = limits
        self._inline = inline
        self.max_entries = limits.max_files * (1 + FOLDERS_PER_FILE)
        self.files: list[ArchiveEntry] = []
        self._total_bytes = 0
        self._entries = 0
        self._folders: set[str] = set()
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._named: set[str] = set()

    def add(self, entry: ArchiveEntry) -> None:
        """Take one more entry into account."""
        self._count(entry)
        if not entry.path:
            self._add_top(entry)
            return
        self._claim(entry)
        if not entry.is_folder:
            self.files.append(entry)

    def _count(self, entry: ArchiveEntry) -> None:
        limits = self.limits
        self._entries += 1
        self._total_bytes += entry.size_bytes
        files = len(self.files) + (not entry.is_folder)
        if entry.size_bytes > limits.max_file_bytes:
            self._stop("MAX_FILE_BYTES", limits.max_file_bytes, entry.size_bytes, entry.path)
        if self._total_bytes > limits.max_release_bytes:
            self._stop("MAX_RELEASE_BYTES", limits.max_release_bytes, self._total_bytes)
        if files > limits.max_files or self._entries > self.max_entries:
            self._stop("MAX_RELEASE_FILES", limits.max_files, self._entries)
        inline = self._inline
        if inline and (files > inline.max_files or self._total_bytes > inline.max_bytes):
            raise TakesLongError

    def _stop(self, setting: str, limit: int, actual: int, entry: str | None = None) -> None:
        raise LimitReachedError(setting=setting, limit=limit, actual=actual, entry=entry)

    def _add_top(self, entry: ArchiveEntry) -> None:
        if not entry.is_folder:
            raise ArchiveRefusedError(ArchiveRule.TYPE_MISMATCH, "./")
        if "" in self._named:
            raise ArchiveRefusedError(ArchiveRule.DUPLICATE_NAME, "./")
        self._named.add("")

    def _claim(self, entry: ArchiveEntry) -> None:
        path = entry.path
        if path in self._named:
            known_is_folder = path in self._folders
            same_kind = known_is_folder == entry.is_folder
            rule = ArchiveRule.DUPLICATE_NAME if same_kind else ArchiveRule.FILE_AND_FOLDER
            raise ArchiveRefusedError(rule, path, other=path)
        self._named.add(path)
        self._claim_folder(path.rpartition("/")[0])
        if entry.is_folder:
            self._claim_folder(path)
        else:
            self._claim_node(path, is_folder=False)

    def _claim_folder(self, path: str) -> None:
        missing = []
        while path and path not in self._folders:
            missing.append(path)
            path = path.rpartition("/")[0]
        for folder in reversed(missing):
            self._claim_node(folder, is_folder=True)
            self._folders.add(folder)

    def _claim_node(self, path: str, *, is_folder: bool) -> None:
        depth = path.count("/") + 1
        if depth > self.limits.max_path_depth + 1:
            self._stop("MAX_PATH_DEPTH", self.limits.max_path_depth, depth, path)
        other, other_is_folder = self._nodes.setdefault(collision_key(path), (path, is_folder))
        if other_is_folder != is_folder:
            raise ArchiveRefusedError(ArchiveRule.FILE_AND_FOLDER, path, other=other)
        if other != path:
            raise ArchiveRefusedError(ArchiveRule.NAME_COLLISION, path, other=other)

    def paths(self, strip: Strip) -> tuple[list[str], str | None]:
        """Return the path of each file, and the name of the folder that was left out.

        `auto` leaves out a folder that encloses everything when it has an `index.html`.
        """
        if not self.files:
            raise ArchiveRefusedError(ArchiveRule.NO_FILES)
        folder = self._stripped_folder(strip)
        cut = 0 if folder is None else len(folder) + 1
        paths = [entry.path[cut:] for entry in self.files]
        for path in paths:
            if path.count("/") + 1 > self.limits.max_path_depth:
                self._stop("MAX_PATH_DEPTH", self.limits.max_path_depth, path.count("/") + 1, path)
        return paths, folder

    def _stripped_folder(self, strip: Strip) -> str | None:
        if strip is Strip.NEVER:
            return None
        folder = self._enclosing_folder()
        if strip is Strip.ALWAYS:
            if folder is None:
                raise ArchiveRefusedError(ArchiveRule.NO_SINGLE_FOLDER)
            return folder
        has_index = folder is not None and any(
            entry.path == f"{folder}/index.html" for entry in self.files
        )
        return folder if has_index else None

    def _enclosing_folder(self) -> str | None:
        tops = {path.partition("/")[0] for path, _ in self._nodes.values()}
        top = tops.pop()
        return top if not tops and top in self._folders else None
