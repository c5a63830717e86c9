"""Releases on disk: shared contents, damage and healing, deletion and sweeping."""

import os

import pytest

from storage import (
    DamagedReleaseError,
    ReleaseInUseError,
    ReleaseMissingError,
    SiteStore,
)
from tests.archives.zip_maker import simple_zip
from tests.storage.stores import SITE, blobs, contents, receive, release_of, show, tree_of

PAGE = SITE["index.html"]
OTHER = {**SITE, "index.html": b"other page"}


def test_equal_contents_are_stored_once_for_all_sites(store: SiteStore) -> None:
    first = release_of(store, SITE, slug="web")

    second = release_of(store, OTHER, slug="shop")

    style = tree_of(store, first) / "css/site.css"
    assert style.samefile(tree_of(store, second, slug="shop") / "css/site.css")
    assert len(blobs(store)) == 3
    assert style.stat().st_nlink == 3


def test_only_new_contents_count_as_new_bytes(store: SiteStore) -> None:
    first = receive(store, simple_zip(SITE))

    second = receive(store, simple_zip(OTHER))

    assert first.new_bytes == sum(map(len, SITE.values()))
    assert second.new_bytes == len(OTHER["index.html"])


def test_an_identical_upload_writes_no_object(store: SiteStore) -> None:
    digest = release_of(store)
    before = {name: path.stat() for name, path in blobs(store).items()}

    again = receive(store, simple_zip(SITE))

    assert (again.manifest.digest, again.new_bytes, again.was_present) == (digest, 0, True)
    after = {name: path.stat() for name, path in blobs(store).items()}
    assert {name: (s.st_ino, s.st_ctime_ns) for name, s in after.items()} == {
        name: (s.st_ino, s.st_ctime_ns) for name, s in before.items()
    }


def test_a_file_given_twice_shares_one_inode(store: SiteStore) -> None:
    tree = tree_of(store, release_of(store, {"a": PAGE, "b/c": PAGE, "empty": b""}))

    assert (tree / "a").samefile(tree / "b/c")
    assert contents(tree) == {"a": PAGE, "b/c": PAGE, "empty": b""}


def test_large_files_are_stored_and_shared_too(store: SiteStore) -> None:
    large = os.urandom(1_500_000)

    first = receive(store, simple_zip({"index.html": PAGE, "video.bin": large}))
    second = receive(store, simple_zip({"index.html": b"new", "video.bin": large}))

    assert first.new_bytes == len(PAGE) + len(large)
    assert second.new_bytes == len(b"new")
    assert (tree_of(store, second.manifest.digest) / "video.bin").read_bytes() == large


def test_the_manifest_tells_path_hash_size_and_type(store: SiteStore) -> None:
    digest = release_of(store)

    manifest = store.manifest("web", digest)

    assert [entry.path for entry in manifest.entries] == ["css/site.css", "index.html"]
    assert manifest.by_path["index.html"].content_type == "text/html; charset=utf-8"
    assert (manifest.file_count, manifest.size_bytes) == (2, sum(map(len, SITE.values())))


def test_a_missing_manifest_and_a_changed_one_are_told_apart(store: SiteStore) -> None:
    digest = release_of(store)
    path = store.layout.manifest("web", digest)
    text = path.read_bytes()

    with pytest.raises(ReleaseMissingError):
        store.manifest("web", "0" * 64)
    for wrong in (b"", b"{}", b"[]", text.replace(b"index", b"Index"), b"\xff"):
        path.write_bytes(wrong)
        with pytest.raises(DamagedReleaseError):
            store.manifest("web", digest)
    assert receive(store, simple_zip(SITE)).was_present
    assert path.read_bytes() == text


def test_deleting_frees_only_what_nobody_shares(store: SiteStore) -> None:
    first, second = release_of(store), release_of(store, OTHER)
    unique = store.unique_bytes("web", first)

    freed = store.delete_release("web", first)
    swept = store.sweep_blobs(older_than_seconds=0)

    assert unique == freed == swept == len(PAGE)
    assert not store.has_release("web", first)
    assert store.manifest("web", first).digest == first
    assert store.verify("web", second, full=True).clean


def test_unique_bytes_count_a_content_once(store: SiteStore) -> None:
    digest = release_of(store, {"a": PAGE, "b": PAGE})

    unique = store.unique_bytes("web", digest)

    assert unique == len(PAGE)


def test_a_release_that_is_shown_is_not_deleted(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest, environment="staging")

    with pytest.raises(ReleaseInUseError):
        store.delete_release("web", digest)

    assert store.verify("web", digest, full=True).clean


def test_deleting_what_is_not_there_is_told(store: SiteStore) -> None:
    digest = release_of(store)
    store.delete_release("web", digest)

    with pytest.raises(ReleaseMissingError):
        store.delete_release("web", digest)


def test_deleting_takes_the_hosts_and_variants_of_the_release_along(store: SiteStore) -> None:
    digest = release_of(store)
    other = release_of(store, {"index.html": b"x", "css/site.css": SITE["css/site.css"]})
    page = {**SITE, "page.html": b"<p>" * 1000}
    doomed = release_of(store, page)
    store.compress("web", doomed, lambda: False)
    store.point_host_at_release("a.example.org", "web", doomed)
    hashes = {entry.path: entry.sha256 for entry in store.manifest("web", doomed).entries}

    store.delete_release("web", doomed)

    assert store.hosts() == {}
    assert store.variant("web", hashes["page.html"], "br") is None
    assert store.variant("web", hashes["css/site.css"], "br") is not None
    assert store.releases("web") == sorted((digest, other))


def test_a_deleted_release_can_be_uploaded_again(store: SiteStore) -> None:
    digest = release_of(store)
    store.delete_release("web", digest)

    again = receive(store, simple_zip(SITE))

    assert again.manifest.digest == digest
    assert not again.was_present
    assert store.verify("web", digest, full=True).clean


def test_young_orphans_and_contents_in_use_survive_the_sweep(store: SiteStore) -> None:
    digest = release_of(store)
    store.delete_release("web", release_of(store, OTHER))

    young = store.sweep_blobs(older_than_seconds=3600)
    old = store.sweep_blobs(older_than_seconds=0)

    assert (young, old) == (0, len(OTHER["index.html"]))
    assert store.verify("web", digest, full=True).clean


def test_a_removed_site_leaves_no_file_and_no_host(store: SiteStore) -> None:
    show(store, release_of(store))
    store.point_host("www.example.org", "web", "main")
    store.point_host("shop.example.org", "shop", "main")

    store.remove_site("web")
    store.remove_site("web")

    assert not store.layout.site("web").exists()
    assert store.hosts() == {"shop.example.org": "shop/main"}
    assert store.sweep_blobs(older_than_seconds=0) == sum(map(len, SITE.values()))
    assert blobs(store) == {}
