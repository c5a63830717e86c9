"""Files and archives of a release on their way out."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from storage import DamagedReleaseError, FileMissingError, ReleaseMissingError, SiteStore
from tests.storage.stores import SITE, damage, receive, release_of, tree_of, unsealed

PAGE = SITE["index.html"]


def test_the_archive_of_a_release_is_the_same_every_time(store: SiteStore) -> None:
    site = {**SITE, "ü/" + "d" * 120 + "/" + "f" * 200: b"deep", "empty": b""}
    digest = release_of(store, site)

    archive = b"".join(store.iter_archive("web", digest))

    release_of(store, site, slug="shop")
    assert archive == b"".join(store.iter_archive("shop", digest))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert opened.getnames() == sorted(site)
    assert receive(store, archive, slug="copy").manifest.digest == digest


def test_the_archive_of_a_damaged_release_has_no_end(store: SiteStore) -> None:
    digest = release_of(store)
    damage(tree_of(store, digest) / "index.html", b"X", keep_time=True)
    received = b""

    with pytest.raises(DamagedReleaseError):
        for chunk in store.iter_archive("web", digest):
            received += chunk

    with pytest.raises(EOFError):
        gzip.decompress(received)


def test_the_archive_of_a_deleted_release_is_refused_at_once(store: SiteStore) -> None:
    digest = release_of(store)
    store.delete_release("web", digest)

    with pytest.raises(ReleaseMissingError):
        store.iter_archive("web", digest)


def test_a_file_is_opened_with_what_is_known_of_it(store: SiteStore) -> None:
    digest = release_of(store)

    file, entry = store.open_file("web", digest, "index.html")

    with file:
        assert file.read() == PAGE
    assert (entry.size_bytes, entry.path) == (len(PAGE), "index.html")


@pytest.mark.parametrize(
    "path", ["", ".", "..", "../x", "/etc/passwd", "index.html/", "css", "nope", "a\0b", "css//x"]
)
def test_a_path_that_names_no_file_opens_nothing(store: SiteStore, path: str) -> None:
    digest = release_of(store)

    with pytest.raises(FileMissingError):
        store.open_file("web", digest, path)


def test_planted_links_and_pipes_are_not_opened(store: SiteStore, tmp_path: Path) -> None:
    digest = release_of(store)
    tree = unsealed(tree_of(store, digest))
    (tmp_path / "site.css").write_bytes(SITE["css/site.css"])
    (tree / "css/site.css").unlink()
    (tree / "css").rmdir()
    (tree / "css").symlink_to(tmp_path)
    (tree / "index.html").unlink()
    os.mkfifo(tree / "index.html")

    for path in ("css/site.css", "index.html"):
        with pytest.raises(FileMissingError):
            store.open_file("web", digest, path)


def test_a_file_of_another_size_is_not_handed_out(store: SiteStore) -> None:
    digest = release_of(store)
    damage(tree_of(store, digest) / "index.html", b"", size=3)

    with pytest.raises(DamagedReleaseError):
        store.open_file("web", digest, "index.html")
