"""Compressed variants."""

import gzip
import os

import brotli  # type: ignore[import-untyped]

from storage import SiteStore
from tests.storage.stores import damage, everything, release_of, tree_of

STYLE = b"a{color:red}" * 300
FILES = {
    "site.css": STYLE,
    "copy.css": STYLE,
    "small.css": b"a{}" * 100,
    "photo.jpg": b"jpeg" * 1000,
    "noise.txt": os.urandom(5000),
    "large.js": b"let a = 1;\n" * 30_000,
}


def _sha(store: SiteStore, digest: str, path: str) -> str:
    return store.manifest("web", digest).by_path[path].sha256


def test_text_that_becomes_smaller_gets_both_variants(store: SiteStore) -> None:
    digest = release_of(store, FILES)

    written = store.compress("web", digest, lambda: False)

    assert written == 4
    for path in ("site.css", "large.js"):
        packed = store.variant("web", _sha(store, digest, path), "gzip")
        smaller = store.variant("web", _sha(store, digest, path), "br")
        assert packed is not None
        assert smaller is not None
        assert gzip.decompress(packed.read_bytes()) == FILES[path]
        assert brotli.decompress(smaller.read_bytes()) == FILES[path]
    assert everything(store.layout.staging) == []


def test_small_binary_and_incompressible_files_get_none(store: SiteStore) -> None:
    digest = release_of(store, FILES)

    store.compress("web", digest, lambda: False)

    for path in ("small.css", "photo.jpg", "noise.txt"):
        assert store.variant("web", _sha(store, digest, path), "br") is None
        assert store.variant("web", _sha(store, digest, path), "gzip") is None


def test_compressing_again_writes_nothing_and_a_stop_can_be_resumed(store: SiteStore) -> None:
    digest = release_of(store, FILES)
    answers = iter([False, True])

    first = store.compress("web", digest, lambda: next(answers))
    second = store.compress("web", digest, lambda: False)
    third = store.compress("web", digest, lambda: False)

    assert (first, second, third) == (2, 2, 0)


def test_variants_are_the_same_bytes_every_time(store: SiteStore) -> None:
    digest = release_of(store, FILES)
    store.compress("web", digest, lambda: False)
    first = {path.name: path.read_bytes() for path in store.layout.variants("web").glob("*/*")}
    for path in store.layout.variants("web").glob("*/*"):
        path.unlink()

    store.compress("web", digest, lambda: False)

    again = {path.name: path.read_bytes() for path in store.layout.variants("web").glob("*/*")}
    assert again == first


def test_a_damaged_file_gets_no_variant(store: SiteStore) -> None:
    digest = release_of(store, {"index.html": STYLE})
    damage(tree_of(store, digest) / "index.html", b"evil" * 1000)

    written = store.compress("web", digest, lambda: False)

    assert written == 0


def test_an_unknown_encoding_has_no_variants(store: SiteStore) -> None:
    digest = release_of(store, FILES)
    store.compress("web", digest, lambda: False)

    variant = store.variant("web", _sha(store, digest, "site.css"), "zstd")

    assert variant is None
