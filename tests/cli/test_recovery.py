"""`relevo sites recover`."""

from pathlib import Path

import pytest

from cli.recovery import MEANINGS
from services.recovery import Outcome
from tests.cli.commands import Relevo
from tests.factories import live, make_site, served, tree
from tests.people import People


@pytest.fixture
def site(people: People, relevo: Relevo) -> Relevo:
    """The command on an installation whose main shows the second of two releases."""
    with people.app.app_context():
        make_site(main=("one", "two"))
    return relevo


@pytest.fixture
def drifted(site: Relevo, tmp_path: Path) -> Relevo:
    """The same after somebody moved the pointer by hand to the first release."""
    pointer = tmp_path / "sites" / "web" / "main"
    with site.app.app_context():
        target = Path("releases") / tree(1).name
    pointer.unlink()
    pointer.symlink_to(target)
    return site


def test_nothing_to_do_is_told(site: Relevo) -> None:
    result = site("sites", "recover")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["web  test  in order", "web  main  in order"]


def test_an_empty_installation_has_nothing_to_recover(relevo: Relevo) -> None:
    assert relevo.document("sites", "recover") == {"findings": []}


def test_drift_is_listed_and_fails(drifted: Relevo) -> None:
    document = drifted.document("sites", "recover", exit_code=1)

    assert document["findings"] == [
        {"site": "web", "environment": "test", "outcome": "clean"},
        {"site": "web", "environment": "main", "outcome": "drift"},
    ]


def test_findings_can_be_limited_to_one_place(drifted: Relevo) -> None:
    document = drifted.document("sites", "recover", "web", "test")

    assert [finding["environment"] for finding in document["findings"]] == ["test"]


def test_a_person_is_told_how_to_choose(drifted: Relevo) -> None:
    result = drifted("sites", "recover")

    assert result.stdout.splitlines()[-1] == (
        "Choose with: relevo sites recover SLUG ENVIRONMENT --accept disk|database"
    )


@pytest.mark.parametrize(("side", "number", "text"), [("disk", 1, "one"), ("database", 2, "two")])
def test_a_choice_settles_the_drift(drifted: Relevo, side: str, number: int, text: str) -> None:
    document = drifted.document("sites", "recover", "web", "main", "--accept", side)

    assert document["promotion"]["release"] == number
    with drifted.app.app_context():
        assert (live(), served()) == (number, text)
    assert drifted("sites", "recover").exit_code == 0


def test_without_drift_there_is_nothing_to_accept(site: Relevo) -> None:
    document = site.document("sites", "recover", "web", "main", "--accept", "disk")

    assert document == {"promotion": None}


@pytest.mark.parametrize("arguments", [("shop",), ("web", "nowhere")])
def test_unknown_places_are_told(site: Relevo, arguments: tuple[str, ...]) -> None:
    assert site.document("sites", "recover", *arguments, exit_code=1)["code"] == "not_found"


@pytest.mark.parametrize("arguments", [("shop", "main"), ("web", "nowhere")])
def test_unknown_places_cannot_be_accepted(site: Relevo, arguments: tuple[str, ...]) -> None:
    document = site.document("sites", "recover", *arguments, "--accept", "disk", exit_code=1)

    assert document["code"] == "not_found"


def test_every_outcome_has_words() -> None:
    assert set(MEANINGS) == set(Outcome)
