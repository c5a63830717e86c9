"""`relevo sites promote` and `rollback` with the database at hand."""

import pytest

from tests.cli.commands import Relevo
from tests.factories import environment, live, make_site, upload
from tests.people import People


@pytest.fixture
def site(people: People, relevo: Relevo) -> Relevo:
    """The command on an installation whose site shows release 2 on main and 3 on test."""
    with people.app.app_context():
        make_site(main=("one", "two"))
        upload("three", commit="c3")
    return relevo


def test_promote_takes_what_test_shows(site: Relevo) -> None:
    result = site("sites", "promote", "web")

    assert result.stdout == "main shows release 3 now (before: 2): http://web.localhost:8080/\n"
    with site.app.app_context():
        assert live() == 3


@pytest.mark.parametrize("reference", ["3", "commit:c3"])
def test_promote_takes_exactly_the_release_that_is_named(site: Relevo, reference: str) -> None:
    document = site.document("sites", "promote", "web", "--release", reference, "--comment", "go")

    assert (document["release"], document["kind"], document["comment"]) == (3, "promote", "go")
    assert (document["state"], document["actor"]) == ("succeeded", "cli")


def test_what_is_live_already_is_no_failure(site: Relevo) -> None:
    site("sites", "promote", "web")

    result = site("sites", "promote", "web")

    assert (result.exit_code, result.stdout) == (
        0,
        "main shows release 3 already: http://web.localhost:8080/\n",
    )


def test_a_dry_run_shows_the_plan_and_changes_nothing(site: Relevo) -> None:
    result = site("sites", "promote", "web", "--dry-run")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Release 3 to main: 0 added, 1 changed, 0 removed; 5 bytes to add.",
        "~ index.html",
    ]
    with site.app.app_context():
        assert live() == 2


def test_a_dry_run_of_what_would_be_refused_fails(site: Relevo) -> None:
    document = site.document("sites", "promote", "web", "--release", "1", "--dry-run", exit_code=1)

    assert (document["would"], document["refusal"]["code"]) == ("refuse", "older_release")
    assert document["plan_hash"]


def test_an_older_release_has_to_be_meant(site: Relevo) -> None:
    refused = site.document("sites", "promote", "web", "--release", "1", exit_code=1)
    accepted = site("sites", "promote", "web", "--release", "1", "--allow-older")

    assert (refused["code"], refused["live_release"]) == ("older_release", 2)
    assert accepted.exit_code == 0


def test_beliefs_are_checked(site: Relevo) -> None:
    plan_hash = site.document("sites", "promote", "web", "--dry-run")["plan_hash"]

    wrong_release = site.document("sites", "promote", "web", "--expected-release", "1", exit_code=1)
    wrong_plan = site.document("sites", "promote", "web", "--plan-hash", "0" * 64, exit_code=1)
    right = site("sites", "promote", "web", "--expected-release", "2", "--plan-hash", plan_hash)

    assert (wrong_release["code"], wrong_plan["code"]) == ("base_changed", "plan_changed")
    assert right.exit_code == 0


def test_the_first_promotion_can_expect_nothing(relevo: Relevo, people: People) -> None:
    with people.app.app_context():
        make_site()
        upload("one")

    result = relevo("sites", "promote", "web", "--expected-release", "0")

    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("option", "code"),
    [("--to", "unknown_environment"), ("--from", "unknown_environment")],
)
def test_unknown_environments_are_told(site: Relevo, option: str, code: str) -> None:
    document = site.document("sites", "promote", "web", option, "nowhere", exit_code=1)

    assert document["errors"][0]["code"] == code


def test_rollback_goes_back_and_holds(site: Relevo) -> None:
    document = site.document("sites", "rollback", "web", "--reason", "broken menu")

    assert (document["kind"], document["release"]) == ("rollback", 1)
    with site.app.app_context():
        assert (live(), environment().hold_reason) == (1, "broken menu")


def test_rollback_goes_to_the_release_that_is_named(site: Relevo) -> None:
    site("sites", "promote", "web")

    document = site.document("sites", "rollback", "web", "--release", "1")

    assert (document["release"], document["previous_release"]) == (1, 3)


def test_rollback_goes_to_a_restore_point(site: Relevo) -> None:
    backup = site.document("sites", "promote", "web")["backup"]

    document = site.document("sites", "rollback", "web", "--backup", backup)

    assert document["release"] == 2


def test_rollback_works_in_other_environments(site: Relevo) -> None:
    document = site.document("sites", "rollback", "web", "--environment", "test")

    assert (document["to_environment"], document["release"]) == ("test", 2)


def test_nothing_to_go_back_to_is_a_refusal(site: Relevo) -> None:
    site("sites", "rollback", "web")

    document = site.document("sites", "rollback", "web", exit_code=1)

    assert document["code"] == "release_not_ready"
