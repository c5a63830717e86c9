"""Plain functions that say in one line what a test needs of a store."""

import hashlib
import io
import os
from pathlib import Path

from storage import ArchiveLimits, ReceivedRelease, SiteStore, Strip, first_journal
from storage.archives import Inventory, open_archive
from tests.archives.zip_maker import simple_zip

LIMITS = ArchiveLimits(
    max_upload_bytes=8 * 1024 * 1024,
    max_release_bytes=6 * 1024 * 1024,
    max_files=100,
    max_file_bytes=2 * 1024 * 1024,
    max_path_depth=32,
)
SITE = {"index.html": b"<h1>hello</h1>", "css/site.css": b"a{color:red}" * 300}

__all__ = ["LIMITS", "SITE", "Inventory", "open_archive"]


def receive(
    store: SiteStore,
    data: bytes,
    *,
    slug: str = "web",
    strip: Strip = Strip.AUTO,
    allow_secret_files: bool = False,
    limits: ArchiveLimits = LIMITS,
) -> ReceivedRelease:
    return store.receive(
        slug, io.BytesIO(data), limits=limits, strip=strip, allow_secret_files=allow_secret_files
    )


def release_of(store: SiteStore, files: dict[str, bytes] = SITE, *, slug: str = "web") -> str:
    """Store a release of these files and return its digest."""
    return receive(store, simple_zip(files), slug=slug).manifest.digest


def show(
    store: SiteStore,
    digest: str,
    *,
    environment: str = "main",
    slug: str = "web",
    at: str = "now",
    is_return: bool = False,
) -> None:
    """Switch an environment to a release."""
    old = store.journal(slug, environment)
    if old is None:
        journal = first_journal(
            generation=1, promotion=1, from_digest=None, to_digest=digest, release=1, at=at
        )
    else:
        number = old.generation + 1
        journal = old.following(
            promotion=number, to_digest=digest, release=number, at=at, is_return=is_return
        )
    store.switch(slug, environment, journal)


def tree_of(store: SiteStore, digest: str, *, slug: str = "web") -> Path:
    return store.layout.release(slug, digest)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def blobs(store: SiteStore) -> dict[str, Path]:
    """Return the stored contents by hash."""
    return {path.name: path for path in store.layout.blobs.glob("??/*")}


def everything(folder: Path) -> list[str]:
    """Return every path below a folder, except locks."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(str(path) for path in paths if not {".lock", ".locks"} & set(path.parts))


def unsealed(tree: Path) -> Path:
    """Let the folders of a tree be written to, by others than root too."""
    for folder in (tree, *tree.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    return tree


def damage(path: Path, data: bytes, *, size: int | None = None, keep_time: bool = False) -> None:
    """Write over the beginning of a sealed file in place; perhaps give it another size."""
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(data)
        if size is not None:
            file.truncate(size)
    path.chmod(0o444)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
