"""Uploads reach the environments that publish by themselves, and the newest ends live."""

import functools

import pytest

from core.errors import ConflictError, ErrorCode
from core.extensions import site_store
from models.promotions import PromotionKind, PromotionResult
from models.releases import ReleaseState
from services import drift, environments, publishing, retention, switching
from services.environments import EnvironmentChange
from services.releases import ReleaseChange, update_release
from tests.factories import (
    OPERATOR,
    count,
    damage,
    environment,
    live,
    make_site,
    promote,
    promotions,
    push,
    refused,
    release,
    roll_back,
    served,
    upload,
)
from tests.people import People
from tests.threads import together

pytestmark = pytest.mark.usefixtures("inside")


def _auto(name: str, *, on: bool = True) -> None:
    environments.update_environment(
        actor=OPERATOR, slug="web", name=name, change=EnvironmentChange(policy={"auto": on})
    )


def test_an_upload_reaches_test_and_not_main() -> None:
    make_site()

    uploaded = push("one")

    (promotion,) = uploaded.published
    assert (promotion.kind, promotion.to_environment) == (PromotionKind.PUBLISH, "test")
    assert (live("test"), live("main")) == (1, None)
    assert served("test") == "one"


def test_an_upload_reaches_every_environment_that_says_auto() -> None:
    make_site()
    _auto("main")

    uploaded = push("one")

    assert [move.to_environment for move in uploaded.published] == ["test", "main"]
    assert (live("test"), live("main")) == (1, 1)


def test_an_upload_to_none_is_only_stored() -> None:
    make_site()

    uploaded = push("one", to="none")

    assert (uploaded.published, uploaded.promotion) == ((), None)
    assert (release(1).state, live("test")) == (ReleaseState.READY, None)


def test_an_upload_to_one_environment_leaves_the_others() -> None:
    make_site()
    _auto("main")

    push("one", to="main")

    assert (live("test"), live("main")) == (None, 1)


def test_an_upload_to_an_environment_without_auto_is_a_promotion() -> None:
    make_site()

    uploaded = push("one", to="main")

    assert uploaded.published == ()
    assert uploaded.promotion is not None
    assert uploaded.promotion.kind is PromotionKind.PROMOTE
    assert (live("test"), live("main")) == (None, 1)


def test_an_upload_to_nowhere_stores_nothing() -> None:
    make_site()

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        push("one", to="staging")

    assert refusal.pointers == ["?to"]


def test_nothing_is_published_where_nothing_says_auto() -> None:
    make_site()
    _auto("test", on=False)

    assert push("one").published == ()
    assert live("test") is None


def test_equal_content_that_is_live_is_published_unchanged() -> None:
    make_site()
    push("one")

    (again,) = push("one").published

    assert again.result is PromotionResult.UNCHANGED
    assert (again.generation, environment("test").generation) == (1, 1)


def test_a_revert_is_newer_than_what_it_reverts() -> None:
    make_site()
    push("one")
    push("two")

    (promotion,) = push("one").published

    assert promotion.result is PromotionResult.SWITCHED
    assert served("test") == "one"


def test_a_locked_environment_keeps_what_it_shows() -> None:
    make_site()
    push("one")
    environments.lock(actor=OPERATOR, slug="web", name="test", reason="demo")

    uploaded = push("two")

    assert (uploaded.published, live("test"), uploaded.upload.release.number) == ((), 1, 2)


def test_a_held_environment_keeps_what_it_shows() -> None:
    make_site()
    push("one")
    push("two")
    roll_back(environment="test")

    uploaded = push("three")

    assert (uploaded.published, live("test")) == ((), 1)


def test_an_older_submission_does_not_replace_a_newer_one() -> None:
    make_site()
    push("one", to="none")
    push("two")
    late = publishing._publish(OPERATOR, environment("test").site, "test", release(1).id)

    assert (late, live("test")) == (None, 2)


def test_a_refused_promotion_keeps_the_release_and_names_it() -> None:
    make_site(main=("one",))
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair")

    with pytest.raises(ConflictError) as caught:
        push("two", to="main")

    assert caught.value.code is ErrorCode.ENVIRONMENT_LOCKED
    assert caught.value.members["release"] == 2
    assert "kept as release 2" in caught.value.detail
    assert (release(2).state, live()) == (ReleaseState.READY, 1)


def test_content_that_is_marked_bad_stays_bad() -> None:
    make_site(main=("one",))
    push("two", to="none")
    update_release(actor=OPERATOR, slug="web", number=2, change=ReleaseChange(bad=True))

    with pytest.raises(ConflictError, match="marked bad"):
        push("two", to="main")

    assert live() == 1


def test_a_release_that_was_deleted_meanwhile_is_not_published() -> None:
    make_site()
    push("one", to="none")
    push("two", to="none")
    retention.delete_release(actor=OPERATOR, slug="web", number=1)
    outcome = publishing._publish(OPERATOR, environment("test").site, "test", release(1).id)

    assert (outcome, live("test")) == (None, None)


def test_a_pointer_moved_by_hand_is_left_alone_and_the_upload_kept() -> None:
    make_site()
    push("one")
    push("two")
    pointer = site_store().layout.pointer("web", "test")
    pointer.unlink()
    pointer.symlink_to(f"releases/{release(1).digest}")

    uploaded = push("three")

    assert (uploaded.published, served("test")) == ((), "one")
    assert release(3).state is ReleaseState.READY


def test_an_upload_heals_all_releases_that_share_what_was_damaged() -> None:
    make_site()
    shared = {"logo.svg": b"<svg/>" * 50}
    upload({"index.html": b"one", **shared})
    upload({"index.html": b"two", **shared})
    damage(1, "logo.svg")
    clean = [drift.verify_release(release_id=release(number).id) for number in (1, 2)]

    upload({"index.html": b"three", **shared})

    assert clean == [False, False]
    assert release(1).verified_at is not None
    assert release(2).verified_at is not None


def test_a_damaged_live_release_does_not_stop_uploads_to_test() -> None:
    make_site()
    push("one")
    damage(1)
    drift.verify_release(release_id=release(1).id)

    push("two")

    assert live("test") == 2


def test_publications_take_turns_and_the_newest_submission_ends_live(people: People) -> None:
    make_site()

    outcomes = together(
        people.app, *(functools.partial(push, f"page {turn % 6}") for turn in range(12))
    )

    newest = max((release(n) for n in range(1, 7)), key=lambda r: r.latest_submission_id or 0)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert live("test") == newest.number
    assert sum(release(n).submission_count for n in range(1, 7)) == 12


def test_an_upload_whose_turn_does_not_come_is_kept() -> None:
    make_site()
    promote(upload("one"))
    publishing.PUBLISH_WAIT_SECONDS, patience = 0.05, publishing.PUBLISH_WAIT_SECONDS
    try:
        with (
            switching.environment_turn(slug="web", environment="test"),
            pytest.raises(ConflictError) as caught,
        ):
            push("two")
    finally:
        publishing.PUBLISH_WAIT_SECONDS = patience

    assert caught.value.code is ErrorCode.PROMOTION_IN_PROGRESS
    assert "kept as release 2" in caught.value.detail
    assert (live("test"), count(type(release(2)))) == (1, 2)
    assert len(promotions()) == 2
