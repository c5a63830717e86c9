"""Releases on disk: shared contents, damage and healing, deletion and sweeping."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from storage import (
    DamagedReleaseError,
    FileMissingError,
    ReleaseInUseError,
    ReleaseMissingError,
    SiteStore,
    TreeReport,
)
from storage.blobs import sealed_time
from tests.archives.zip_maker import simple_zip
from tests.storage.stores import SITE, blobs, contents, receive, release_of, show, tree_of

PAGE = b"<h1>hello</h1>"
OTHER = {**SITE, "index.html": b"other page"}


def damage(path: Path, data: bytes, *, keep_time: bool = False) -> None:
    """Write into a sealed file in place."""
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(data)
    path.chmod(0o444)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


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


def _edit(tree: Path) -> None:
    damage(tree / "index.html", b"X")


def _edit_unseen(tree: Path) -> None:
    damage(tree / "index.html", b"X", keep_time=True)


def _truncate(tree: Path) -> None:
    os.truncate(tree / "index.html", 3)


def _touch(tree: Path) -> None:
    os.utime(tree / "index.html")


def _make_writable(tree: Path) -> None:
    (tree / "index.html").chmod(0o644)


def _replace(tree: Path) -> None:
    new = tree / "new"
    new.write_bytes(b"x" * len(PAGE))
    new.chmod(0o444)
    second = sealed_time(hashlib.sha256(PAGE).hexdigest())
    os.utime(new, (second, second))
    new.rename(tree / "index.html")


def _link(tree: Path) -> None:
    (tree / "index.html").unlink()
    (tree / "index.html").symlink_to("/etc/passwd")


def _folder(tree: Path) -> None:
    (tree / "index.html").unlink()
    (tree / "index.html").mkdir()


CHANGED = TreeReport(changed=("index.html",))
DAMAGES = [
    (_edit, CHANGED),
    (_truncate, CHANGED),
    (_touch, CHANGED),
    (_make_writable, CHANGED),
    (_replace, CHANGED),
    (_link, CHANGED),
    (_folder, CHANGED),
    (lambda tree: (tree / "index.html").unlink(), TreeReport(missing=("index.html",))),
    (lambda tree: (tree / "evil.php").touch(), TreeReport(extra=("evil.php",))),
    (lambda tree: (tree / "css/evil").symlink_to("/"), TreeReport(extra=("css/evil",))),
    (lambda tree: (tree / "new").mkdir(), TreeReport(extra=("new",))),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("harm", "report"), DAMAGES)
def test_damage_is_found_and_healed_by_uploading_again(
    store: SiteStore, harm: object, report: TreeReport, full: bool
) -> None:
    digest = release_of(store)
    assert callable(harm)
    harm(tree_of(store, digest))

    found = store.verify("web", digest, full=full)
    again = receive(store, simple_zip(SITE))

    assert found == report
    assert not found.clean
    assert again.was_present
    assert store.verify("web", digest, full=True).clean
    assert contents(tree_of(store, digest)) == SITE


def test_a_hidden_edit_is_found_by_reading_and_from_then_on_by_a_look(store: SiteStore) -> None:
    digest = release_of(store)
    _edit_unseen(tree_of(store, digest))
    looked = store.verify("web", digest, full=False)

    read = store.verify("web", digest, full=True)

    assert looked.clean
    assert read == CHANGED
    assert store.verify("web", digest, full=False) == CHANGED


def test_a_hidden_edit_is_healed_even_before_it_is_found(store: SiteStore) -> None:
    digest = release_of(store)
    _edit_unseen(tree_of(store, digest))

    again = receive(store, simple_zip(SITE))

    assert again.new_bytes == len(PAGE)
    assert store.verify("web", digest, full=True).clean


def test_healing_a_content_heals_every_release_that_shares_it(store: SiteStore) -> None:
    first = release_of(store)
    second = release_of(store, {"about.html": PAGE}, slug="shop")
    damage(tree_of(store, first) / "index.html", b"XXX")
    assert not store.verify("shop", second, full=False).clean

    release_of(store, {"third.html": PAGE}, slug="blog")

    assert store.verify("web", first, full=True).clean
    assert store.verify("shop", second, full=True).clean


def test_a_large_damaged_content_is_healed(store: SiteStore) -> None:
    large = {"index.html": PAGE, "video.bin": os.urandom(1_500_000)}
    digest = release_of(store, large)
    damage(tree_of(store, digest) / "video.bin", b"noise", keep_time=True)

    release_of(store, large)

    assert store.verify("web", digest, full=True).clean


def test_something_foreign_in_the_place_of_a_blob_is_replaced(store: SiteStore) -> None:
    digest = release_of(store)
    for path in blobs(store).values():
        path.unlink()
        path.mkdir()

    release_of(store)

    assert store.verify("web", digest, full=True).clean
    assert all(path.is_file() for path in blobs(store).values())


def test_a_link_in_the_place_of_a_release_is_replaced(store: SiteStore, tmp_path: Path) -> None:
    digest = release_of(store)
    store.delete_release("web", digest)
    (tmp_path / "elsewhere").mkdir()
    tree_of(store, digest).symlink_to(tmp_path / "elsewhere")
    assert not store.has_release("web", digest)

    release_of(store)

    assert contents(tree_of(store, digest)) == SITE
    assert not tree_of(store, digest).is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_drift_names_every_release_that_shares_a_damaged_content(store: SiteStore) -> None:
    first = release_of(store)
    second = release_of(store, {"about.html": PAGE}, slug="shop")
    third = release_of(store, {"index.html": b"sound"})
    show(store, first)
    damage(tree_of(store, first) / "index.html", b"X")

    report = store.drift("web", "main", first, full=False)

    assert not report.clean
    assert (report.pointer, report.changed) == (first, ("index.html",))
    assert report.damaged_releases == tuple(sorted((first, second)))
    assert third not in report.damaged_releases


def test_no_drift_is_a_clean_report(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest)

    report = store.drift("web", "main", digest, full=True)

    assert report.clean
    assert report.damaged_releases == ()
    assert store.drift("web", "test", None, full=False).clean


def test_drift_tells_of_a_pointer_that_shows_another_release(store: SiteStore) -> None:
    first, second = release_of(store), release_of(store, OTHER)
    show(store, first)

    report = store.drift("web", "main", second, full=False)

    assert not report.clean
    assert (report.pointer, report.changed) == (first, ())


def test_drift_tells_of_a_pointer_that_is_garbage(store: SiteStore) -> None:
    digest = release_of(store)
    store.layout.pointer("web", "main").symlink_to("/etc")

    report = store.drift("web", "main", digest, full=False)

    assert (report.clean, report.pointer) == (False, None)
    assert not store.drift("web", "main", None, full=False).clean


def test_drift_tells_of_a_release_that_is_gone(store: SiteStore) -> None:
    digest = release_of(store)
    store.delete_release("web", digest)

    report = store.drift("web", "main", digest, full=False)

    assert report.missing == ("css/site.css", "index.html")
    assert store.drift("web", "main", "0" * 64, full=False).damaged_releases == ("0" * 64,)


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
    tree = tree_of(store, digest)
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
    os.truncate(tree_of(store, digest) / "index.html", 3)

    with pytest.raises(DamagedReleaseError):
        store.open_file("web", digest, "index.html")
