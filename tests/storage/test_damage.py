"""Damage of sealed files: how it is found, healed and told."""

import hashlib
import os
from pathlib import Path

import pytest

from storage import SiteStore, TreeReport
from storage.blobs import sealed_time
from tests.archives.zip_maker import simple_zip
from tests.storage.stores import (
    SITE,
    blobs,
    contents,
    damage,
    receive,
    release_of,
    show,
    tree_of,
    unsealed,
)

PAGE = SITE["index.html"]
OTHER = {**SITE, "index.html": b"other page"}


def _edit(tree: Path) -> None:
    damage(tree / "index.html", b"X")


def _edit_unseen(tree: Path) -> None:
    damage(tree / "index.html", b"X", keep_time=True)


def _truncate(tree: Path) -> None:
    damage(tree / "index.html", b"", size=3)


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
    harm(unsealed(tree_of(store, digest)))

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
