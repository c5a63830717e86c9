"""Compressed variants of a site's files, made once in the background."""

import gzip
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import brotli  # type: ignore[import-untyped]

from storage import failpoints, files
from storage.content_types import MIN_COMPRESSIBLE_BYTES, is_compressible
from storage.layout import Layout
from storage.manifests import Manifest, ManifestEntry
from storage.staging import staged

MAX_COMPRESSIBLE_BYTES = 16 * 1024 * 1024

_THOROUGH_BYTES = 256 * 1024
"""Up to here brotli's best quality is worth its time."""
_SUFFIXES = {"gzip": "gz", "gz": "gz", "br": "br"}


def variant_path(layout: Layout, slug: str, sha256: str, encoding: str) -> Path | None:
    """Return where a variant lies, None when there is none.

    Args:
        layout: of the sites folder.
        slug: the site.
        sha256: of the content as it was uploaded.
        encoding: `gzip` (or `gz`) or `br`; others have no variants.
    """
    suffix = _SUFFIXES.get(encoding)
    if suffix is None:
        return None
    path = layout.variant(slug, sha256, suffix)
    return path if path.is_file() else None


def compress_release(
    layout: Layout, slug: str, manifest: Manifest, *, should_stop: Callable[[], bool]
) -> int:
    """Make the variants a release lacks; return how many were written.

    Only text-like types from 1 KiB to 16 MiB, only what becomes smaller, and only from content
    whose hash is right. `should_stop` is asked before each file; a later call goes on.
    """
    written = 0
    done = set()
    tree = layout.release(slug, manifest.digest)
    for entry in manifest.entries:
        if entry.sha256 in done or not _is_worth_trying(entry):
            continue
        if should_stop():
            break
        done.add(entry.sha256)
        missing = [
            suffix
            for suffix in ("gz", "br")
            if not layout.variant(slug, entry.sha256, suffix).exists()
        ]
        data = _content(tree / entry.path, entry) if missing else None
        if data is not None:
            written += sum(_write(layout, slug, entry.sha256, name, data) for name in missing)
    return written


def _is_worth_trying(entry: ManifestEntry) -> bool:
    return MIN_COMPRESSIBLE_BYTES <= entry.size_bytes <= MAX_COMPRESSIBLE_BYTES and is_compressible(
        entry.content_type
    )


def _content(path: Path, entry: ManifestEntry) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == entry.sha256 else None


def _compressed(data: bytes, suffix: str) -> bytes:
    if suffix == "gz":
        return gzip.compress(data, 9, mtime=0)
    quality = 11 if len(data) <= _THOROUGH_BYTES else 9
    return bytes(brotli.compress(data, quality=quality))


def _write(layout: Layout, slug: str, sha256: str, suffix: str, data: bytes) -> bool:
    smaller = _compressed(data, suffix)
    if len(smaller) >= len(data):
        return False
    path = layout.variant(slug, sha256, suffix)
    files.make_folder(layout.variants(slug))
    files.make_folder(path.parent)
    with staged(layout, "variant") as new:
        files.write_durably(new, smaller, mode=files.FILE_MODE)
        failpoints.hit("variant.written")
        files.rename(new, path)
    failpoints.hit("variant.renamed")
    return True


def remove_variants(layout: Layout, slug: str, contents: Iterable[str]) -> None:
    """Remove the variants of contents that the site no longer has."""
    for sha256 in contents:
        for suffix in ("gz", "br"):
            layout.variant(slug, sha256, suffix).unlink(missing_ok=True)
