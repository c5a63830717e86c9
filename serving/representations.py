"""The forms in which one file can be sent: as it is, or compressed beforehand."""

from dataclasses import dataclass

from serving.conditions import CODINGS, accepted_suffixes
from serving.trees import OpenFile, open_file
from storage.content_types import MIN_COMPRESSIBLE_BYTES, is_compressible
from storage.errors import DamagedReleaseError
from storage.layout import Layout
from storage.manifests import ManifestEntry

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Representation:
    """One form of a file, open; `etag` comes without its quotes."""

    file: OpenFile
    etag: str
    entry: ManifestEntry
    coding: str | None

    @property
    def headers(self) -> Headers:
        """What describes the bytes, for answers that carry them."""
        headers = [("Content-Type", self.entry.content_type), *vary(self.entry)]
        return headers if self.coding is None else [*headers, ("Content-Encoding", self.coding)]


def vary(entry: ManifestEntry) -> Headers:
    """Return `Vary` for files that exist in several forms, now or when they are compressed."""
    return [("Vary", "Accept-Encoding")] if _may_have_variants(entry) else []


def _may_have_variants(entry: ManifestEntry) -> bool:
    return entry.size_bytes >= MIN_COMPRESSIBLE_BYTES and is_compressible(entry.content_type)


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """The files of one release on disk and the compressed variants of its site."""

    layout: Layout
    slug: str
    digest: str

    def best(self, entry: ManifestEntry, accept_encoding: str) -> Representation:
        """Open the form that the client likes best among those that exist.

        Raises:
            DamagedReleaseError: the file itself is not there as the manifest says.
        """
        if _may_have_variants(entry):
            for suffix in accepted_suffixes(accept_encoding):
                variant = self._variant(entry, suffix)
                if variant is not None:
                    return variant
        return self.plain(entry)

    def plain(self, entry: ManifestEntry) -> Representation:
        """Open the file as it was uploaded.

        Raises:
            DamagedReleaseError: it is not there, or not of its size.
        """
        file = open_file(self.layout.releases(self.slug) / self.digest, entry.path)
        if file.size_bytes != entry.size_bytes:
            file.close()
            raise DamagedReleaseError("A file has another size.", changed=(entry.path,))
        return Representation(file, entry.sha256, entry, None)

    def _variant(self, entry: ManifestEntry, suffix: str) -> Representation | None:
        path = f"{entry.sha256[:2]}/{entry.sha256}.{suffix}"
        try:
            file = open_file(self.layout.variants(self.slug), path)
        except DamagedReleaseError:
            return None
        return Representation(file, f"{entry.sha256}-{suffix}", entry, CODINGS[suffix])
