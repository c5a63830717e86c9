"""Drift: what somebody changed by hand is seen, named, and healed by an upload."""

import os

import pytest

from core.errors import ErrorCode
from core.extensions import site_store
from services import drift, upkeep
from services.drift import Drift
from tests.factories import (
    OPERATOR,
    damage,
    last_event,
    make_site,
    nothing_changes,
    promote,
    refused,
    release,
    roll_back,
    tree,
    upload,
)

pytestmark = pytest.mark.usefixtures("inside")


def _examine(environment: str = "main", *, full: bool = False) -> Drift:
    return drift.examine(actor=OPERATOR, slug="web", environment=environment, full=full)


def _rewrite_unseen(number: int, path: str = "index.html") -> None:
    """Change a file and give it back its time and size, so that only reading tells."""
    file = tree(number) / path
    status = file.stat()
    file.chmod(0o644)
    file.write_bytes(b"X" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    file.chmod(0o444)


@pytest.mark.parametrize("full", [False, True])
def test_what_nobody_touched_is_clean(full: bool) -> None:
    make_site(main=("one",))

    assert _examine(full=full) == Drift(
        clean=True, changed=(), missing=(), extra=(), damaged_releases=()
    )


def test_an_environment_without_a_release_is_clean() -> None:
    make_site()

    assert _examine().clean


def test_an_edit_in_place_is_seen_without_reading() -> None:
    make_site(main=("one",))
    damage(1)

    found = _examine()

    assert (found.clean, found.changed, found.damaged_releases) == (False, ("index.html",), (1,))


def test_an_edit_that_hides_is_seen_by_reading_and_by_every_look_after() -> None:
    make_site(main=("one",))
    _rewrite_unseen(1)

    quick, full, again = _examine(), _examine(full=True), _examine()

    assert (quick.clean, full.clean, again.clean) == (True, False, False)
    assert full.changed == again.changed == ("index.html",)


def test_a_missing_and_an_extra_file_are_seen() -> None:
    make_site()
    number = upload({"index.html": b"one", "a.css": b"a"}, to="main")
    folder = tree(number)
    folder.chmod(0o755)
    (folder / "a.css").unlink()
    (folder / "extra.html").write_bytes(b"x")

    found = _examine()

    assert (found.missing, found.extra) == (("a.css",), ("extra.html",))


def test_a_damaged_content_names_every_release_that_shares_it() -> None:
    make_site("blog")
    make_site()
    shared = {"logo.svg": b"<svg/>" * 50}
    upload({"index.html": b"elsewhere", **shared}, slug="blog")
    upload({"index.html": b"one", **shared})
    upload({"index.html": b"two"})
    upload({"index.html": b"three", **shared}, to="main")

    damage(3, "logo.svg")

    assert _examine().damaged_releases == (1, 3)


def test_a_pointer_that_was_moved_by_hand_is_drift() -> None:
    make_site(main=("one", "two"))
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.symlink_to(f"releases/{release(1).digest}")

    assert not _examine().clean


def test_an_upload_of_the_same_content_heals() -> None:
    make_site(main=("one",))
    damage(1)

    upload("one", to="none")

    assert _examine(full=True).clean


def test_an_unknown_environment_is_an_input_error() -> None:
    make_site()

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        _examine("staging")

    assert refusal.pointers == ["?environment"]


def test_looking_at_what_is_sound_changes_nothing() -> None:
    make_site(main=("one",))
    verified_at = release(1).verified_at

    with nothing_changes():
        _examine(full=True)

    assert release(1).verified_at == verified_at


@pytest.mark.parametrize("full", [False, True])
def test_what_is_found_damaged_cannot_be_promoted_any_more(full: bool) -> None:
    make_site("blog")
    make_site(main=("one", "two"))
    shared = upload("one", slug="blog")
    (_rewrite_unseen if full else damage)(1)

    with refused(ErrorCode.VALIDATION_FAILED):
        _examine("staging")
    roll_back()
    found = _examine(full=full)

    assert found.damaged_releases == (1,)
    assert (release(1).verified_at, release(shared, "blog").verified_at) == (None, None)
    assert release(2).verified_at is not None
    with refused(ErrorCode.RELEASE_NOT_READY):
        promote(shared, slug="blog")


def test_a_release_that_lacks_a_file_cannot_be_promoted_any_more() -> None:
    make_site(main=("one",))
    folder = tree(1)
    folder.chmod(0o755)
    (folder / "index.html").unlink()

    _examine()

    assert release(1).verified_at is None
    assert last_event().action == "release.damaged"


def test_the_scrub_takes_the_verification_back_and_tells_once() -> None:
    make_site(main=("one",))
    damage(1)

    first = drift.verify_release(release_id=release(1).id)
    event = last_event()
    second = drift.verify_release(release_id=release(1).id)

    assert (first, second, release(1).verified_at) == (False, False, None)
    assert (event.action, event.target_id) == ("release.damaged", "web/1")
    assert last_event().id == event.id


def test_the_scrub_looks_again_at_what_was_damaged() -> None:
    make_site("blog")
    make_site(main=("one",))
    upload("one", slug="blog")
    damage(1)
    drift.verify_release(release_id=release(1).id)
    upload("one", slug="blog")

    done = upkeep.scrub_next()

    assert done
    assert release(1).verified_at is not None
