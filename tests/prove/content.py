"""Sites of a wanted size, each release with one word that tells it from the others."""

import hashlib
import io
import zipfile
from collections.abc import Mapping

from storage.content_types import content_type_of
from storage.manifests import Manifest, ManifestEntry

Files = Mapping[str, bytes]

PAGE = "index.html"
ASSET = "assets/app.js"


def site_files(stamp: str, count: int = 2, *, size_bytes: int = 4096) -> dict[str, bytes]:
    """Return a page and an asset that carry `stamp`, and shared files up to `count`."""
    files = {
        PAGE: f"<!doctype html><title>{stamp}</title><p>{stamp * 200}</p>".encode(),
        ASSET: f"// {stamp}\n".encode() * 300,
    }
    for number in range(count - len(files)):
        name = f"files/{number % 50:02d}/{number:05d}.txt"
        files[name] = noise(f"{number}", size_bytes)
    return files


def noise(seed: str, size_bytes: int) -> bytes:
    """Return text that compresses to about a half, the same each time."""
    return hashlib.shake_128(seed.encode()).digest(size_bytes // 2 + 1).hex()[:size_bytes].encode()


def zipped(files: Files) -> bytes:
    """Return the files as a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def digest_of(files: Files) -> str:
    """Return the digest that the release of these files has."""
    return Manifest.of(
        ManifestEntry(path, hashlib.sha256(data).hexdigest(), len(data), content_type_of(path))
        for path, data in files.items()
    ).digest
