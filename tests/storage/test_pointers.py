"""Pointers and journals: switches, rollbacks without a database, and foreign things."""

import dataclasses
import stat

import pytest

from storage import (
    DamagedReleaseError,
    HistoryEntry,
    Journal,
    PointerError,
    ReleaseMissingError,
    SiteStore,
    StorageError,
    first_journal,
)
from storage.journals import MAX_HISTORY
from tests.storage.stores import damage, everything, release_of, show, tree_of

MISSING = "0" * 64


def test_a_new_environment_shows_nothing(store: SiteStore) -> None:
    pointer = store.pointer("web", "main")

    assert pointer is None
    assert store.journal("web", "main") is None


def test_a_switch_moves_a_relative_link_and_tells_so_in_the_journal(store: SiteStore) -> None:
    digest = release_of(store)

    show(store, digest)

    link = store.layout.pointer("web", "main")
    assert str(link.readlink()) == f"releases/{digest}"
    assert store.pointer("web", "main") == digest
    journal = store.journal("web", "main")
    assert journal is not None
    assert (journal.generation, journal.to_digest) == (1, digest)
    assert journal.history == (HistoryEntry(digest, 1, 1, 1),)
    assert everything(store.layout.staging) == []


def test_a_journal_comes_back_as_it_was_written(store: SiteStore) -> None:
    digest = release_of(store)
    journal = Journal(
        generation=7,
        promotion=None,
        from_digest=None,
        to_digest=digest,
        release=3,
        at="2026-01-01T10:00:00Z",
        settings={"password": {"hash": "x"}, "noindex": True, "name": "Käse"},
    )

    store.write_journal("web", "main", journal)

    assert store.journal("web", "main") == journal
    assert store.pointer("web", "main") is None


def test_the_history_is_capped(store: SiteStore) -> None:
    digest = release_of(store)
    history = tuple(HistoryEntry(digest, number, number, number) for number in range(50))
    journal = first_journal(
        generation=51, promotion=51, from_digest=None, to_digest=digest, release=1, at="now"
    )

    store.write_journal("web", "main", dataclasses.replace(journal, history=history))

    written = store.journal("web", "main")
    assert written is not None
    assert written.history == history[:MAX_HISTORY]


def test_a_switch_to_a_release_that_is_not_here_changes_nothing(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest)
    before = store.journal("web", "main")

    with pytest.raises(ReleaseMissingError):
        show(store, MISSING)

    assert store.pointer("web", "main") == digest
    assert store.journal("web", "main") == before


def test_a_folder_in_the_place_of_the_pointer_is_left_alone(store: SiteStore) -> None:
    digest = release_of(store)
    place = store.layout.pointer("web", "main")
    place.mkdir()
    (place / "precious").write_text("x")

    with pytest.raises(PointerError):
        show(store, digest)

    assert (place / "precious").read_text() == "x"
    assert store.journal("web", "main") is None


@pytest.mark.parametrize("target", ["/etc", "../other/releases/" + MISSING, "releases/x", "main"])
def test_a_link_that_leads_elsewhere_is_no_pointer(store: SiteStore, target: str) -> None:
    release_of(store)
    store.layout.pointer("web", "main").symlink_to(target)

    with pytest.raises(PointerError):
        store.pointer("web", "main")


def test_a_file_in_the_place_of_the_pointer_is_no_pointer(store: SiteStore) -> None:
    release_of(store)
    store.layout.pointer("web", "main").write_text("garbage")

    with pytest.raises(PointerError):
        store.pointer("web", "main")


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"null", b'{"generation": 1}', b"\xff"])
def test_a_damaged_journal_is_told(store: SiteStore, garbage: bytes) -> None:
    show(store, release_of(store))
    store.layout.journal("web", "main").write_bytes(garbage)

    with pytest.raises(PointerError):
        store.journal("web", "main")


def _two_releases(store: SiteStore) -> tuple[str, str]:
    old = release_of(store, {"index.html": b"old"})
    new = release_of(store, {"index.html": b"new"})
    show(store, old)
    show(store, new)
    return old, new


def test_an_offline_rollback_goes_to_the_newest_other_release(store: SiteStore) -> None:
    old, new = _two_releases(store)

    journal = store.rollback_offline(
        "web", "main", to_digest=None, by="root", reason="broken", at="2026-01-01T10:00:00Z"
    )

    assert store.pointer("web", "main") == old
    assert store.journal("web", "main") == journal
    assert (journal.generation, journal.promotion, journal.release) == (3, None, 1)
    assert (journal.from_digest, journal.to_digest) == (new, old)
    (rollback,) = journal.offline
    assert (rollback.by, rollback.reason) == ("root", "broken")
    assert (rollback.from_digest, rollback.to_digest, rollback.generation) == (new, old, 3)


def test_offline_rollbacks_add_up_until_they_are_imported(store: SiteStore) -> None:
    _old, new = _two_releases(store)
    store.rollback_offline("web", "main", to_digest=None, by="a", reason=None, at="1")

    journal = store.rollback_offline("web", "main", to_digest=new, by="b", reason=None, at="2")

    assert store.pointer("web", "main") == new
    assert [rollback.by for rollback in journal.offline] == ["a", "b"]
    assert journal.offline[0].id != journal.offline[1].id


def test_an_offline_rollback_keeps_the_serving_settings(store: SiteStore) -> None:
    old, _new = _two_releases(store)
    journal = store.journal("web", "main")
    assert journal is not None
    store.write_journal("web", "main", dataclasses.replace(journal, settings={"noindex": True}))

    rolled_back = store.rollback_offline(
        "web", "main", to_digest=old, by="root", reason=None, at="now"
    )

    assert rolled_back.settings == {"noindex": True}


def test_an_offline_rollback_passes_over_damaged_and_deleted_releases(store: SiteStore) -> None:
    oldest = release_of(store, {"index.html": b"oldest"})
    show(store, oldest)
    old, _new = _two_releases(store)
    damage(tree_of(store, old) / "index.html", b"OLD")

    store.rollback_offline("web", "main", to_digest=None, by="root", reason=None, at="now")

    assert store.pointer("web", "main") == oldest


def test_an_offline_rollback_to_a_damaged_release_is_refused(store: SiteStore) -> None:
    old, new = _two_releases(store)
    damage(tree_of(store, old) / "index.html", b"OLD")

    with pytest.raises(DamagedReleaseError) as caught:
        store.rollback_offline("web", "main", to_digest=old, by="root", reason=None, at="now")

    assert caught.value.changed == ("index.html",)
    assert store.pointer("web", "main") == new


def test_an_offline_rollback_needs_something_to_go_back_to(store: SiteStore) -> None:
    show(store, release_of(store))

    with pytest.raises(ReleaseMissingError):
        store.rollback_offline("web", "main", to_digest=None, by="root", reason=None, at="now")


def test_an_offline_rollback_to_what_is_shown_is_refused(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest)

    with pytest.raises(StorageError, match="already"):
        store.rollback_offline("web", "main", to_digest=digest, by="root", reason=None, at="now")


def test_an_offline_rollback_works_without_a_readable_journal(store: SiteStore) -> None:
    old, new = _two_releases(store)
    store.layout.journal("web", "main").write_bytes(b"garbage")

    journal = store.rollback_offline("web", "main", to_digest=old, by="root", reason=None, at="now")

    assert store.pointer("web", "main") == old
    assert (journal.generation, journal.from_digest) == (1, new)


def test_a_removed_environment_takes_its_hosts_along(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest)
    store.point_host("a.example.org", "web", "main")
    store.point_host("b.example.org", "web", "test")

    store.remove_environment("web", "main")

    assert store.pointer("web", "main") is None
    assert store.journal("web", "main") is None
    assert store.hosts() == {"b.example.org": "web/test"}
    assert store.has_release("web", digest)


def test_hosts_are_relative_links_a_web_server_can_follow(store: SiteStore) -> None:
    digest = release_of(store)
    show(store, digest)

    store.point_host("www.example.org", "web", "main")
    store.point_host_at_release(f"{digest[:16]}--web.localhost", "web", digest)

    root = store.layout.hosts
    assert (root / "www.example.org" / "index.html").read_bytes() == b"<h1>hello</h1>"
    assert str((root / "www.example.org").readlink()) == "../web/main"
    assert store.hosts()[f"{digest[:16]}--web.localhost"] == f"web/releases/{digest}"
    assert (root / f"{digest[:16]}--web.localhost" / "index.html").is_file()


def test_a_host_can_be_moved_and_removed_twice(store: SiteStore) -> None:
    store.point_host("www.example.org", "web", "main")

    store.point_host("www.example.org", "shop", "main")
    moved = store.hosts()
    store.remove_host("www.example.org")
    store.remove_host("www.example.org")

    assert moved == {"www.example.org": "shop/main"}
    assert store.hosts() == {}


@pytest.mark.parametrize("host", ["", ".", "..", "a/b", "A.org", "a..b", ".hidden", "a:80", "a\n"])
def test_a_malformed_host_is_a_value_error(store: SiteStore, host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        store.point_host(host, "web", "main")


@pytest.mark.parametrize("environment", ["", "releases", "manifests", ".state", "a/b", "../x"])
def test_a_malformed_environment_is_a_value_error(store: SiteStore, environment: str) -> None:
    with pytest.raises(ValueError, match="environment"):
        store.pointer("web", environment)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "A" * 64, "../" + "0" * 61])
def test_a_malformed_digest_is_a_value_error(store: SiteStore, digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        store.has_release("web", digest)


def test_files_and_folders_are_sealed(store: SiteStore) -> None:
    tree = tree_of(store, release_of(store))

    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (tree, *tree.rglob("*"))}

    assert modes == {tree.name: 0o555, "index.html": 0o444, "css": 0o555, "site.css": 0o444}
    assert 1990 <= _year((tree / "index.html").stat().st_mtime) <= 2020


def _year(timestamp: float) -> float:
    return 1970 + timestamp / 31_556_952
