"""Environments: names, rules, domains, locks and holds."""

from datetime import timedelta

import pytest

from core.clock import utc_now
from core.errors import ErrorCode
from core.extensions import site_store
from models.environments import Environment
from models.promotions import PromotionKind
from services import environments, switching
from services.environments import EnvironmentChange
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
    promotions,
    refused,
    release,
    roll_back,
    upload,
)
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")


def _create(name: str = "staging", slug: str = "web", **options: object) -> Environment:
    wanted = {"rank": 15, **options}
    return environments.create_environment(actor=OPERATOR, slug=slug, name=name, **wanted)  # type: ignore[arg-type]  # options of a test


def _change(name: str = "main", slug: str = "web", **change: object) -> Environment:
    return environments.update_environment(
        actor=OPERATOR,
        slug=slug,
        name=name,
        change=EnvironmentChange(**change),  # type: ignore[arg-type]  # options of a test
    )


def _hosts_of(target: str) -> list[str]:
    return [host for host, shown in site_store().hosts().items() if shown == target]


def test_a_new_environment_lies_between_the_others_and_has_a_host() -> None:
    make_site()

    _create(domains=["staging.example.org"])

    found = environments.list_environments(actor=OPERATOR, slug="web")
    assert [place.name for place in found] == ["test", "staging", "main"]
    assert _hosts_of("web/staging") == ["staging--web.localhost", "staging.example.org"]
    assert last_event().action == "environment.created"


@pytest.mark.parametrize("name", ["releases", "manifests", "none", "a--b", "0123456789abcdef"])
def test_reserved_names_are_refused(name: str) -> None:
    make_site()

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        _create(name)

    assert refusal.pointers == ["/name"]


def test_a_name_is_taken_once() -> None:
    make_site()

    with refused(ErrorCode.ALREADY_EXISTS):
        _create("test")


def test_one_domain_said_twice_counts_once() -> None:
    make_site()

    place = _create(domains=["a.example.org", "a.example.org"])

    assert [domain.host for domain in place.domains] == ["a.example.org"]


def test_a_domain_belongs_to_one_environment_of_all_sites() -> None:
    make_site("blog")
    make_site()
    _change("main", slug="blog", domains=["www.example.org"])

    with refused(ErrorCode.ALREADY_EXISTS):
        _change("main", domains=["www.example.org"])
    with refused(ErrorCode.ALREADY_EXISTS):
        _create(domains=["www.example.org"])

    assert _hosts_of("blog/main") == ["blog.localhost", "www.example.org"]


@pytest.mark.parametrize(
    "host", ["localhost", "blog.localhost", "test--web.localhost", "deep.er.localhost"]
)
def test_hosts_of_the_server_itself_are_no_domains(host: str) -> None:
    make_site()

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        _change("main", domains=["fine.example.org", host])

    assert refusal.pointers == ["/domains/1"]


@pytest.mark.parametrize(
    "host", ["WWW.example.org", "a_b.example.org", "x y", "a..b", "-a.org", "x", "1.2.3.4"]
)
def test_what_is_no_domain_name_is_no_domain(host: str) -> None:
    make_site()

    with refused(ErrorCode.VALIDATION_FAILED):
        _change("main", domains=[host])


def test_a_domain_moves_when_it_is_given_up_first() -> None:
    make_site()
    _change("test", domains=["www.example.org", "old.example.org"])

    _change("test", domains=["old.example.org"])
    _change("main", domains=["www.example.org"])

    assert _hosts_of("web/main") == ["web.localhost", "www.example.org"]
    assert _hosts_of("web/test") == ["old.example.org", "test--web.localhost"]


def test_no_domains_means_none_and_no_word_means_the_same() -> None:
    make_site()
    _change(domains=["www.example.org"])

    _change(rank=30)
    kept = [domain.host for domain in environment().domains]
    _change(domains=[])

    assert kept == ["www.example.org"]
    assert environment().domains == []
    assert _hosts_of("web/main") == ["web.localhost"]


def test_the_rules_are_merged_key_by_key() -> None:
    make_site()

    _change(policy={"auto": True})
    _change(rank=40)

    rules = {"auto": True, "required_approvals": 0}
    assert environment().policy == {"auto": True}
    assert last_event().before == {"rank": 20, "domains": [], "policy": rules}
    assert last_event().after == {"rank": 40, "domains": [], "policy": rules}


def test_a_change_of_an_older_version_is_refused() -> None:
    make_site()
    seen = environment().version
    _change(rank=30)

    with refused(ErrorCode.PRECONDITION_FAILED):
        environments.update_environment(
            actor=OPERATOR,
            slug="web",
            name="main",
            change=EnvironmentChange(rank=40),
            expected_version=seen,
        )


def test_a_deleted_environment_leaves_its_history() -> None:
    make_site()
    _create()
    promote(upload("one"), to="staging")

    environments.delete_environment(actor=OPERATOR, slug="web", name="staging")

    assert _hosts_of("web/staging") == []
    assert site_store().pointer("web", "staging") is None
    assert [move.to_environment for move in promotions()] == ["test", "staging"]
    assert last_event().action == "environment.deleted"


def test_an_environment_that_comes_back_starts_from_nothing() -> None:
    make_site()
    _create()
    promote(upload("one"), to="staging")
    environments.delete_environment(actor=OPERATOR, slug="web", name="staging")

    _create()

    assert live("staging") is None
    promote(1, to="staging")
    assert live("staging") == 1


@pytest.mark.parametrize("name", ["test", "main"])
def test_test_and_main_stay(name: str) -> None:
    make_site()

    with refused(ErrorCode.ENVIRONMENT_IN_USE):
        environments.delete_environment(actor=OPERATOR, slug="web", name=name)


def test_an_environment_that_is_being_promoted_to_stays() -> None:
    make_site()
    place = _create()
    number = upload("one")
    with transaction():
        switching.begin(
            actor=OPERATOR,
            site=place.site,
            environment=place,
            release=release(number),
            kind=PromotionKind.PROMOTE,
        )

    with refused(ErrorCode.PROMOTION_IN_PROGRESS):
        environments.delete_environment(actor=OPERATOR, slug="web", name="staging")


def test_an_environment_that_is_just_being_moved_stays() -> None:
    make_site()
    _create()

    with (
        switching.environment_turn(slug="web", environment="staging"),
        refused(ErrorCode.PROMOTION_IN_PROGRESS),
    ):
        environments.delete_environment(actor=OPERATOR, slug="web", name="staging")


def test_an_unknown_environment_is_not_found() -> None:
    make_site()

    with refused(ErrorCode.NOT_FOUND):
        environments.get_environment(actor=OPERATOR, slug="web", name="staging")


def test_a_lock_stops_promotions_and_neither_uploads_nor_rollbacks() -> None:
    make_site(main=("one", "two"))
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="trade fair")
    number = upload("three")

    with refused(ErrorCode.ENVIRONMENT_LOCKED) as refusal:
        promote(number)
    roll_back()

    assert "trade fair" in refusal.detail
    assert refusal.member("allowed_actions") == ["unlock", "rollback"]
    assert live() == 1


def test_a_lock_ends_when_it_said_it_would() -> None:
    make_site()
    soon = utc_now() + timedelta(hours=1)
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair", expires_at=soon)
    locked = environment()

    with transaction():
        locked.lock_expires_at = utc_now() - timedelta(seconds=1)
    promote(upload("one"))

    assert live() == 1


def test_a_lock_cannot_end_in_the_past() -> None:
    make_site()
    past = utc_now() - timedelta(seconds=1)

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        environments.lock(actor=OPERATOR, slug="web", name="main", reason="x", expires_at=past)

    assert refusal.pointers == ["/expires_at"]


def test_an_unlocked_environment_takes_promotions_again() -> None:
    make_site()
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair")

    environments.unlock(actor=OPERATOR, slug="web", name="main")
    promote(upload("one"))

    assert live() == 1


def test_unlocking_what_is_not_locked_does_nothing() -> None:
    make_site()

    with nothing_changes():
        environments.unlock(actor=OPERATOR, slug="web", name="main")
        environments.lift_hold(actor=OPERATOR, slug="web", name="main")


def test_lock_and_unlock_tell_what_was_there_before() -> None:
    make_site()
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="first")
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="second")

    event = last_event()

    assert event.before is not None
    assert event.before["lock_reason"] == "first"
    assert event.after == {"reason": "second", "expires_at": None}


def test_a_person_lifts_the_hold_of_a_rollback() -> None:
    make_site(main=("one", "two"))
    roll_back(reason="broken")
    before = len(audit_actions())

    environments.lift_hold(actor=OPERATOR, slug="web", name="main")

    assert environment().held_at is None
    assert audit_actions(before) == ["environment.hold_lifted"]


def test_many_readers_of_a_list_cost_few_statements(people: People, statements: list[str]) -> None:
    make_site(main=("one", "two"))
    for number in range(5):
        _create(f"stage{number}", domains=[f"{number}.example.org"])
    statements.clear()

    found = environments.list_environments(actor=OPERATOR, slug="web")
    shown = [[domain.host for domain in place.domains] for place in found]

    assert len(shown) == 7
    assert len(statements) <= 4
