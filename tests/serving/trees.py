"""Write sites folders by hand, to the layout that the server reads."""

import gzip
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from storage.content_types import content_type_of
from storage.layout import Layout
from storage.manifests import Manifest, ManifestEntry

Files = Mapping[str, bytes]


def write_release(root: Path, files: Files, *, slug: str = "web") -> str:
    """Write one release with its manifest and return its digest."""
    layout = Layout(root)
    manifest = Manifest.of(
        ManifestEntry(path, hashlib.sha256(data).hexdigest(), len(data), content_type_of(path))
        for path, data in files.items()
    )
    for path, data in files.items():
        target = layout.release(slug, manifest.digest) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    layout.manifests(slug).mkdir(exist_ok=True)
    layout.manifest(slug, manifest.digest).write_text(manifest.to_json())
    return manifest.digest


def write_variants(root: Path, data: bytes, *, slug: str = "web") -> None:
    """Write both variants of one content; the brotli one is a stand-in, nobody unpacks it."""
    sha256 = hashlib.sha256(data).hexdigest()
    for suffix, compressed in (
        ("gz", gzip.compress(data)),
        ("br", b"brotli of " + sha256.encode()),
    ):
        target = Layout(root).variant(slug, sha256, suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(compressed)


def point(root: Path, digest: str, *, slug: str = "web", environment: str = "main") -> None:
    """Move an environment's pointer the way a promotion does: one rename."""
    replace_link(Layout(root).pointer(slug, environment), f"releases/{digest}")


def publish_host(root: Path, host: str, target: str) -> None:
    """Make `host` show `target`, written as storage writes it: `../web/main`."""
    Layout(root).hosts.mkdir(parents=True, exist_ok=True)
    replace_link(Layout(root).hosts / host, target)


def replace_link(link: Path, target: str) -> None:
    """Point `link` at `target` with no moment without a link."""
    beside = link.with_name(f"{link.name}.{os.getpid()}.next")
    beside.symlink_to(target)
    beside.rename(link)


def write_site(root: Path, files: Files, *, slug: str = "web") -> str:
    """Write one release, served as main, test and by its digest on *.localhost."""
    digest = write_release(root, files, slug=slug)
    for environment, host in (("main", slug), ("test", f"test--{slug}")):
        point(root, digest, slug=slug, environment=environment)
        publish_host(root, f"{host}.localhost", f"../{slug}/{environment}")
    publish_host(root, f"{digest[:16]}--{slug}.localhost", f"../{slug}/releases/{digest}")
    return digest
