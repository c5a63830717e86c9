"""`relevo sites list|show|create`, and what all commands have in common."""

from pathlib import Path

import pytest

from tests.cli.commands import Relevo, run_process
from tests.factories import make_site
from tests.people import People


def test_an_empty_installation_says_so(relevo: Relevo) -> None:
    result = relevo("sites", "list")

    assert (result.exit_code, result.stdout) == (0, "No sites.\n")


def test_sites_are_listed_with_their_addresses(relevo: Relevo) -> None:
    relevo("sites", "create", "web", "--name", "Our web")

    result = relevo("sites", "list")

    assert result.stdout.splitlines() == [
        "SLUG  NAME     ADDRESS",
        "web   Our web  http://web.localhost:8080/",
    ]


def test_the_list_can_be_searched(relevo: Relevo) -> None:
    for slug in ("shop", "web"):
        relevo("sites", "create", slug)

    document = relevo.document("sites", "list", "-q", "sho")

    assert [site["slug"] for site in document["items"]] == ["shop"]


def test_a_new_site_has_test_and_main(relevo: Relevo) -> None:
    created = relevo.document("sites", "create", "web", "--description", "Ours")

    document = relevo.document("sites", "show", "web")

    assert (created["slug"], created["name"], created["description"]) == ("web", "web", "Ours")
    assert [place["name"] for place in document["environments"]] == ["test", "main"]


def test_a_document_has_the_fields_of_the_api(relevo: Relevo, people: People) -> None:
    relevo("sites", "create", "web")
    people.user("ana", "admin")

    document = relevo.document("sites", "show", "web")

    assert document.pop("environments")
    assert document == people.caller("ana").get("/sites/web").get_json()


def test_show_tells_what_is_live_and_held(relevo: Relevo, people: People) -> None:
    with people.app.app_context():
        make_site(main=("one", "two"))
    relevo("sites", "rollback", "web")

    result = relevo("sites", "show", "web")

    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [
        ["test", "2", "1", "open"],
        ["main", "1", "2", "held"],
    ]


def test_a_refusal_is_one_line_and_exit_code_1(relevo: Relevo) -> None:
    relevo("sites", "create", "web")

    result = relevo("sites", "create", "web")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("error: There is a site with this slug already. (already_exists)\n")


@pytest.mark.parametrize("slug", ["a--b", "ABC", "a_b", "Bad Slug"])
def test_a_refused_input_is_named(relevo: Relevo, slug: str) -> None:
    result = relevo("sites", "create", slug)

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: The input was refused. (validation_failed)",
        "  slug: Must be a slug: a-z, 0-9 and single hyphens, 40 at most. (invalid)",
    ]


def test_a_refusal_is_a_document_for_scripts(relevo: Relevo) -> None:
    document = relevo.document("sites", "create", "a--b", exit_code=1)

    assert document == {
        "code": "validation_failed",
        "detail": "The input was refused.",
        "errors": [
            {
                "pointer": "/slug",
                "code": "invalid",
                "message": "Must be a slug: a-z, 0-9 and single hyphens, 40 at most.",
            }
        ],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("sites", "create"),
        ("sites", "create", "web", "--name", "n" * 121),
        ("sites", "promote", "web", "--release", "twelve"),
        ("sites", "rollback", "web", "--release", "commit:abc"),
        ("sites", "push", "web", "/nowhere"),
        ("sites", "recover", "--accept", "disk"),
        ("sites", "recover", "web", "main", "--accept", "neither"),
        ("sites", "unheard-of"),
    ],
)
def test_wrong_usage_is_exit_code_2(relevo: Relevo, arguments: tuple[str, ...]) -> None:
    result = relevo(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_wrong_configuration_is_exit_code_2(tmp_path: Path) -> None:
    result = run_process("sites", "list", data_dir=tmp_path, SECRET_KEY="short")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("relevo: SECRET_KEY is missing")


def test_a_database_that_is_away_is_told_without_a_traceback(tmp_path: Path) -> None:
    result = run_process(
        "sites", "list", data_dir=tmp_path, DATABASE_URL="sqlite:////nowhere/relevo.db"
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: The database has not been set up yet; run: relevo setup (unavailable)",
        "  There is no database at /nowhere/relevo.db.",
    ]


@pytest.mark.parametrize(
    "arguments",
    [("sites", "list"), ("users", "export"), ("users", "list", "--json"), ("db", "check")],
)
def test_a_database_that_was_never_made_is_not_made_by_looking(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    address = f"sqlite:///{tmp_path / 'relevo.db'}"  # a server's database is never made by Relevo

    result = run_process(*arguments, data_dir=tmp_path, DATABASE_URL=address)

    assert result.returncode == 1
    assert "run: relevo setup" in result.stdout + result.stderr
    assert not (tmp_path / "relevo.db").exists()


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    (tmp_path / "relevo.db").touch()

    result = run_process("sites", "list", data_dir=tmp_path)

    assert result.returncode == 1
    assert "run: relevo setup" in result.stderr


def test_help_names_the_exit_codes(relevo: Relevo) -> None:
    result = relevo("sites", "promote", "--help")

    assert "Exit codes: 0 done, 1 refused or failed, 2 wrong usage" in result.stdout
