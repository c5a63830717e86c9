"""How what an environment serves differs from what it should serve."""

import os
from dataclasses import dataclass

from storage.errors import DamagedReleaseError, PointerError, ReleaseMissingError
from storage.layout import Layout
from storage.manifests import Manifest
from storage.pointers import Pointers
from storage.releases import Releases
from storage.trees import TreeReport


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Paths are those of the expected release.

    `pointer` is the digest the disk shows, None when there is none or it is not readable.
    `damaged_releases` are the digests, of any site, that share a damaged content, sorted.
    """

    clean: bool
    pointer: str | None
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    damaged_releases: tuple[str, ...] = ()


def find_drift(
    layout: Layout,
    pointers: Pointers,
    releases: Releases,
    *,
    slug: str,
    environment: str,
    expected: str | None,
    full: bool,
) -> DriftReport:
    """Compare pointer and files of an environment with the digest it should show."""
    try:
        pointer, readable = pointers.read(slug, environment), True
    except PointerError:
        pointer, readable = None, False
    agrees = readable and pointer == expected
    if expected is None:
        return DriftReport(agrees, pointer)
    try:
        manifest = releases.manifest(slug, expected)
    except (ReleaseMissingError, DamagedReleaseError):
        return DriftReport(clean=False, pointer=pointer, damaged_releases=(expected,))
    report = releases.verify(slug, expected, full=full)
    damaged = _sharing(layout, releases, slug, manifest, report)
    clean = agrees and report.clean
    return DriftReport(clean, pointer, report.changed, report.missing, report.extra, damaged)


def _sharing(
    layout: Layout, releases: Releases, slug: str, manifest: Manifest, report: TreeReport
) -> tuple[str, ...]:
    """Name every release that has the same damaged inode, the one at hand included."""
    tree = layout.release(slug, manifest.digest)
    inodes = {_inode(f"{tree}/{path}") for path in report.changed} - {0}
    contents = {manifest.by_path[path].sha256 for path in report.changed}
    if not contents:
        return ()
    found = {manifest.digest}
    for other_slug in layout.slugs():
        for digest in releases.digests(other_slug):
            if digest not in found and _has(
                layout, releases, other_slug, digest, contents=contents, inodes=inodes
            ):
                found.add(digest)
    return tuple(sorted(found))


def _has(
    layout: Layout,
    releases: Releases,
    slug: str,
    digest: str,
    *,
    contents: set[str],
    inodes: set[int],
) -> bool:
    try:
        entries = releases.manifest(slug, digest).entries
    except (ReleaseMissingError, DamagedReleaseError):
        return False
    tree = layout.release(slug, digest)
    shared = (entry.path for entry in entries if entry.sha256 in contents)
    return any(_inode(f"{tree}/{path}") in inodes for path in shared)


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
