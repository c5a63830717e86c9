"""Retention: what is needed stays, what goes is told truly, and nothing live is ever lost."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode
from core.extensions import site_store
from models.promotions import PromotionKind
from models.releases import ReleaseState, Submission
from services import offline, retention, switching
from services.releases import ReleaseChange, update_release
from services.retention import Pruned
from services.transaction import transaction
from tests.factories import (
    OPERATOR,
    audit_actions,
    environment,
    last_event,
    live,
    make_site,
    nothing_changes,
    promote,
    push,
    refused,
    release,
    roll_back,
    served,
    tree,
    upload,
)
from tests.people import People
from tests.threads import together

pytestmark = pytest.mark.usefixtures("inside")


def _prune(keep: int = 1, days: int = 0, *, dry_run: bool = False) -> Pruned:
    return retention.prune(
        actor=OPERATOR, slug="web", keep=keep, older_than_days=days, dry_run=dry_run
    )


def _delete(number: int) -> None:
    retention.delete_release(actor=OPERATOR, slug="web", number=number)


def _store(*texts: str) -> None:
    for text in texts:
        push(text, to="none")


def _age(days: int) -> None:
    """Let everything that was uploaded so far be some days old."""
    with transaction() as session:
        session.execute(update(Submission).values(created_at=utc_now() - timedelta(days=days)))


def _bytes_on_disk(root: Path) -> int:
    seen = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            seen[status.st_ino] = status.st_size
    return sum(seen.values())


def test_pruning_keeps_the_newest_and_whatever_is_needed() -> None:
    make_site(main=("one", "two", "three"))
    _store("four", "five", "six")
    update_release(actor=OPERATOR, slug="web", number=4, change=ReleaseChange(pinned=True))

    pruned = _prune()

    assert pruned.deleted == (5, 1)
    assert pruned.kept == (6, 4, 3, 2)
    assert [release(number).state for number in (1, 5)] == [ReleaseState.ARCHIVED] * 2
    assert (live(), live("test"), served()) == (3, 3, "three")


def test_pruning_keeps_what_is_young() -> None:
    make_site()
    _store("one", "two")
    _age(31)
    _store("three", "four")

    assert _prune(days=30).deleted == (2, 1)


def test_content_that_was_uploaded_again_is_young_again() -> None:
    make_site()
    _store("one", "two")
    _age(31)
    _store("one", "three")

    assert _prune(days=30).deleted == (2,)


def test_pinning_for_a_while_does_not_make_a_release_young() -> None:
    make_site()
    _store("one", "two")
    _age(31)
    for pinned in (True, False):
        change = ReleaseChange(pinned=pinned)
        update_release(actor=OPERATOR, slug="web", number=1, change=change)

    assert _prune(days=30).deleted == (1,)


def test_a_dry_run_deletes_nothing_and_tells_the_same() -> None:
    make_site(main=("one",))
    shared = {"logo.svg": b"<svg/>" * 999}
    push({"index.html": b"a", **shared}, to="none")
    push({"index.html": b"b", **shared}, to="none")
    push("newest", to="none")

    with nothing_changes():
        planned = _prune(dry_run=True)
    done = _prune()

    assert planned == done
    assert planned.freed_bytes == 2 + 6 * 999


def test_what_is_freed_is_free_once_the_blobs_are_swept() -> None:
    make_site(main=("one",))
    push({"index.html": b"a", "big.txt": b"x" * 70_000}, to="none")
    push({"index.html": b"b", "big.txt": b"x" * 70_000}, to="none")
    push("newest", to="none")
    root = site_store().layout.root
    before = _bytes_on_disk(root)

    freed = _prune().freed_bytes
    site_store().sweep_blobs(older_than_seconds=0)

    assert freed == 70_002
    assert before - _bytes_on_disk(root) == freed


def test_a_deleted_release_stays_listed_without_files_and_host() -> None:
    make_site(main=("one",))
    _store("two")
    digest = release(2).digest

    _delete(2)

    assert (release(2).state, release(2).verified_at) == (ReleaseState.ARCHIVED, None)
    assert not tree(2).exists()
    assert f"{digest[:16]}--web.localhost" not in site_store().hosts()
    assert site_store().manifest("web", digest).file_count == 1
    assert last_event().action == "release.archived"


def test_deleting_twice_is_deleting_once() -> None:
    make_site(main=("one",))
    _store("two")
    _delete(2)

    with nothing_changes():
        _delete(2)


@pytest.mark.parametrize(
    ("number", "reasons"),
    [
        (2, ["previous release of test", "previous release of main"]),
        (3, ["live in test", "live in main"]),
        (4, ["pinned"]),
    ],
)
def test_what_is_needed_is_not_deleted(number: int, reasons: list[str]) -> None:
    make_site(main=("one", "two", "three"))
    _store("four")
    update_release(actor=OPERATOR, slug="web", number=4, change=ReleaseChange(pinned=True))

    with refused(ErrorCode.RELEASE_PROTECTED) as refusal:
        _delete(number)

    assert refusal.member("reasons") == reasons


def test_what_is_being_promoted_is_not_deleted() -> None:
    make_site(main=("one",))
    _store("two")
    with transaction():
        place = environment()
        switching.begin(
            actor=OPERATOR,
            site=place.site,
            environment=place,
            release=release(2),
            kind=PromotionKind.PROMOTE,
        )

    with refused(ErrorCode.RELEASE_PROTECTED) as refusal:
        _delete(2)

    assert refusal.member("reasons") == ["being promoted"]


def test_what_only_the_disk_shows_is_not_deleted() -> None:
    make_site(main=("one", "two", "three", "four"))
    for _ in range(3):
        offline.roll_back_offline(slug="web", environment="main", to=None, by="deploy", reason=None)

    with refused(ErrorCode.RELEASE_PROTECTED):
        _delete(1)
    pruned = _prune()

    assert pruned.deleted == (2,)
    assert served() == "one"


def test_what_was_uploaded_again_while_pruning_is_kept() -> None:
    make_site(main=("one",))
    _store("two", "three")
    seen = release(2).latest_submission_id
    _store("two")

    outcome = retention._archive(OPERATOR, environment().site, 2, seen)

    assert outcome is None
    assert release(2).state is ReleaseState.READY


def test_an_archived_release_comes_back_with_its_content() -> None:
    make_site(main=("one",))
    _store("two")
    _delete(2)

    uploaded = push("two").upload

    assert (uploaded.created, uploaded.release.number) == (False, 2)
    assert (release(2).state, live("test")) == (ReleaseState.READY, 2)
    promote(2)
    assert served() == "two"


def test_a_rollback_does_not_return_to_what_was_deleted() -> None:
    make_site(main=("one", "two", "three"))
    _delete(1)
    roll_back()

    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


def test_each_deletion_leaves_one_event() -> None:
    make_site(main=("one",))
    _store("two", "three", "four")
    before = len(audit_actions())

    _prune()

    assert audit_actions(before) == ["release.archived"] * 2


def test_an_unknown_release_is_not_found() -> None:
    make_site()

    with refused(ErrorCode.NOT_FOUND):
        _delete(1)


def test_a_deployer_deletes_releases_and_does_not_prune(people: People) -> None:
    people.user("dan")
    make_site(main=("one",), dan="deployer")
    _store("two")
    dan = people.actor("dan")

    with refused(ErrorCode.SCOPE_MISSING):
        retention.prune(actor=dan, slug="web")
    retention.delete_release(actor=dan, slug="web", number=2)

    assert release(2).state is ReleaseState.ARCHIVED


def test_pruning_in_a_race_with_uploads_and_promotions_loses_nothing(people: People) -> None:
    make_site(main=("a",))

    outcomes = together(
        people.app, _upload_and_promote, _upload_and_promote, _prune_often, _prune_often
    )

    assert [outcome for outcome in outcomes if outcome is not None] == []
    for name in ("test", "main"):
        place = environment(name)
        assert place.release is not None
        assert place.release.state is ReleaseState.READY
        assert site_store().pointer("web", name) == place.release.digest
        assert site_store().verify("web", place.release.digest, full=True).clean


def _upload_and_promote() -> None:
    for turn in range(8):
        number = upload("abc"[turn % 3])
        try:
            promote(number, allow_older=True)
        except ConflictError as error:
            if error.code not in (ErrorCode.PROMOTION_IN_PROGRESS, ErrorCode.RELEASE_NOT_READY):
                raise


def _prune_often() -> None:
    for _ in range(12):
        _prune()
