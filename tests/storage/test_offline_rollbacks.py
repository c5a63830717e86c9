"""Where an offline rollback goes when nobody names a release."""

from storage import SiteStore, first_journal
from tests.storage.stores import damage, release_of, show, tree_of


def _releases(store: SiteStore, count: int) -> list[str]:
    """Show releases one after the other, the last one stays; return their digests."""
    digests = [
        release_of(store, {"index.html": f"release {number}".encode()}) for number in range(count)
    ]
    for digest in digests:
        show(store, digest)
    return digests


def _roll_back(store: SiteStore) -> str | None:
    store.rollback_offline("web", "main", to_digest=None, by="root", reason=None, at="now")
    return store.pointer("web", "main")


def test_a_second_offline_rollback_goes_further_back(store: SiteStore) -> None:
    first, second, _third = _releases(store, 3)

    shown = [_roll_back(store), _roll_back(store)]

    assert shown == [second, first]


def test_an_offline_rollback_after_an_ordinary_one_goes_further_back(store: SiteStore) -> None:
    first, second, _third = _releases(store, 3)
    show(store, second, is_return=True)

    shown = _roll_back(store)

    assert shown == first


def test_a_release_that_was_promoted_again_is_no_way_back(store: SiteStore) -> None:
    first, second, third = _releases(store, 3)
    show(store, first)

    shown = [_roll_back(store), _roll_back(store), _roll_back(store)]

    assert shown == [third, second, first]


def test_a_release_whose_manifest_is_damaged_is_passed_over(store: SiteStore) -> None:
    first, second, _third = _releases(store, 3)
    manifest = store.layout.manifest("web", second)
    manifest.unlink()
    manifest.write_bytes(b"garbage")

    shown = _roll_back(store)

    assert shown == first


def test_a_release_that_was_never_shown_is_no_target(store: SiteStore) -> None:
    first, second = _releases(store, 2)
    announced = release_of(store, {"index.html": b"announced"})
    before = store.journal("web", "main")
    assert before is not None
    store.write_journal(
        "web",
        "main",
        before.following(promotion=3, to_digest=announced, release=3, at="now"),
    )
    third = release_of(store, {"index.html": b"third"})
    store.rollback_offline("web", "main", to_digest=third, by="root", reason=None, at="now")

    shown = [_roll_back(store), _roll_back(store)]

    assert shown == [second, first]


def test_a_release_that_is_not_in_the_history_goes_back_to_its_head(store: SiteStore) -> None:
    first, second = _releases(store, 2)
    damage(tree_of(store, first) / "index.html", b"damaged")
    begun_anew = first_journal(
        generation=7, promotion=7, from_digest=None, to_digest=second, release=2, at="now"
    )
    unknown = release_of(store, {"index.html": b"unknown"})
    store.switch("web", "main", begun_anew)
    store.layout.pointer("web", "main").unlink()
    store.layout.pointer("web", "main").symlink_to(f"releases/{unknown}")

    shown = _roll_back(store)

    assert shown == second
