"""What a release consists of, and the digest that names it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from storage.errors import DamagedReleaseError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a release."""

    path: str
    sha256: str
    size_bytes: int
    content_type: str


@dataclass(frozen=True)
class Manifest:
    """All files of a release, sorted by path; `digest` is the release's name."""

    digest: str
    entries: tuple[ManifestEntry, ...]

    @classmethod
    def of(cls, entries: Iterable[ManifestEntry]) -> "Manifest":
        """Sort the entries and compute their digest."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        return cls(digest_of(ordered), ordered)

    @property
    def file_count(self) -> int:
        return len(self.entries)

    @cached_property
    def size_bytes(self) -> int:
        """Sum of the sizes as served; equal contents count each time."""
        return sum(entry.size_bytes for entry in self.entries)

    @cached_property
    def by_path(self) -> Mapping[str, ManifestEntry]:
        return {entry.path: entry for entry in self.entries}

    def to_json(self) -> str:
        files = {
            entry.path: {
                "sha256": entry.sha256,
                "size": entry.size_bytes,
                "type": entry.content_type,
            }
            for entry in self.entries
        }
        document = {"format": FORMAT, "digest": self.digest, "files": files}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Read what `to_json` wrote.

        Raises:
            DamagedReleaseError: it is not a manifest, or its digest is not that of its files.
        """
        try:
            document = json.loads(text)
            manifest = cls.of(
                ManifestEntry(str(path), str(file["sha256"]), int(file["size"]), str(file["type"]))
                for path, file in document["files"].items()
            )
            stated = document["digest"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedReleaseError("The manifest of the release is damaged.") from error
        if stated != manifest.digest:
            raise DamagedReleaseError("The manifest of the release was changed.")
        return manifest


def digest_of(entries: Iterable[ManifestEntry]) -> str:
    """Return the SHA-256 over one line per file: hash, size, path.

    The content type is left out: it follows from the path, so that a better table of types
    does not give old content a new name.
    """
    lines = [f"{entry.sha256} {entry.size_bytes} {entry.path}\n" for entry in entries]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
