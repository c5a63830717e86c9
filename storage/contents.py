"""Whole contents on their way out of the store, wherever a sound copy of them lies."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from storage import files
from storage.blobs import blob_name
from storage.layout import Layout
from storage.manifests import ManifestEntry

MAX_BUFFERED_BYTES = 1024 * 1024


def sound_content(
    layout: Layout, entry: ManifestEntry, *, slug: str, digest: str
) -> Iterable[bytes] | None:
    """Return the bytes of a file, read and hashed before; None when no copy is sound.

    The shared blob is looked at first: it outlives a release that is deleted meanwhile.
    """
    for path in (layout.blobs / blob_name(entry.sha256), layout.release(slug, digest) / entry.path):
        found = _checked(path, entry)
        if found is not None:
            return found
    return None


def _checked(path: Path, entry: ManifestEntry) -> Iterable[bytes] | None:
    try:
        descriptor = os.open(path, files.READ_FILE | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_size != entry.size_bytes:
            return None
        kept: list[bytes] = []
        digest = hashlib.sha256()
        for chunk in files.read_chunks(descriptor):
            digest.update(chunk)
            if entry.size_bytes <= MAX_BUFFERED_BYTES:
                kept.append(chunk)
        if digest.hexdigest() != entry.sha256:
            return None
        if entry.size_bytes <= MAX_BUFFERED_BYTES:
            return kept
        return _again(os.dup(descriptor))
    finally:
        os.close(descriptor)


def _again(descriptor: int) -> Iterator[bytes]:
    """Read a large file a second time; it was not kept in memory."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield from files.read_chunks(descriptor)
    finally:
        os.close(descriptor)
