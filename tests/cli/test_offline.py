"""`relevo sites rollback --offline`: with API and database down."""

import json
import os
import pwd
from pathlib import Path

import pytest

from storage.locks import file_lock, pointer_lock_path
from storage.store import SiteStore
from tests.cli.commands import Relevo, run_process
from tests.factories import live, make_site, promote, promotions, release, upload
from tests.people import People

AWAY = {"DATABASE_URL": "sqlite:////nowhere/relevo.db"}


@pytest.fixture
def site(people: People, relevo: Relevo) -> Relevo:
    """The command on an installation whose main has shown three releases."""
    with people.app.app_context():
        make_site(main=("one", "two", "three"))
    return relevo


def _shown(data_dir: Path, environment: str = "main") -> str:
    return (data_dir / "sites" / "web" / environment / "index.html").read_text()


def test_it_works_without_the_database_and_is_imported_afterwards(
    site: Relevo, tmp_path: Path
) -> None:
    gone_back = run_process(
        *("sites", "rollback", "web", "--offline", "--reason", "night shift", "--json"),
        data_dir=tmp_path,
        **AWAY,
    )

    document = json.loads(gone_back.stdout)
    assert gone_back.returncode == 0
    assert (document["release"], document["environment"]) == (2, "main")
    assert (document["by"], document["reason"]) == (
        pwd.getpwuid(os.getuid()).pw_name,
        "night shift",
    )
    assert _shown(tmp_path) == "two"

    recovered = run_process("sites", "recover", data_dir=tmp_path)

    assert recovered.returncode == 0, recovered.stderr
    assert "offline rollbacks were written into the history" in recovered.stdout
    with site.app.app_context():
        assert live() == 2
        last = promotions()[-1]
        assert (last.kind.value, last.via, last.comment) == ("rollback", "cli", "night shift")


def test_a_second_one_goes_further_back(site: Relevo, tmp_path: Path) -> None:
    arguments = ("sites", "rollback", "web", "--offline")

    for _ in range(2):
        run_process(*arguments, data_dir=tmp_path, **AWAY)
    third = run_process(*arguments, data_dir=tmp_path, **AWAY)

    assert _shown(tmp_path) == "one"
    assert third.returncode == 1
    assert third.stderr == (
        "error: There is no earlier release to go back to. (release_not_ready)\n"
    )


def test_it_goes_to_the_number_that_is_named(site: Relevo, tmp_path: Path) -> None:
    result = site("sites", "rollback", "web", "--offline", "--release", "1")

    assert result.stdout.splitlines()[0] == "main shows release 1 now."
    assert _shown(tmp_path) == "one"


def test_it_goes_to_no_release_that_this_environment_never_showed(
    site: Relevo, tmp_path: Path
) -> None:
    with site.app.app_context():
        digest = release(upload("only on test")).digest

    for name in ("4", digest[:16]):
        document = site.document(
            "sites", "rollback", "web", "--offline", "--release", name, exit_code=1
        )
        assert (document["code"], document["shown"]) == ("release_not_ready", [1, 2, 3])

    assert _shown(tmp_path) == "three"


def test_without_a_journal_a_digest_is_enough(site: Relevo, tmp_path: Path) -> None:
    with site.app.app_context():
        digest = release(1).digest
    (tmp_path / "sites" / "web" / ".state" / "main.json").write_text("garbage")

    result = site("sites", "rollback", "web", "--offline", "--release", digest[:16])

    assert result.exit_code == 0, result.stderr
    assert _shown(tmp_path) == "one"


def test_it_goes_where_an_online_rollback_would(site: Relevo, tmp_path: Path) -> None:
    with site.app.app_context():
        promote(1, allow_older=True)

    shown = [site.document("sites", "rollback", "web", "--offline")["release"] for _ in range(3)]

    assert shown == [3, 2, 1]


def test_it_goes_to_the_beginning_of_a_digest(site: Relevo, tmp_path: Path) -> None:
    with site.app.app_context():
        digest = release(1).digest

    result = site("sites", "rollback", "web", "--offline", "--release", digest[:16])

    assert result.exit_code == 0
    assert _shown(tmp_path) == "one"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("web", "--release", "99"), "release_not_ready"),
        (("web", "--release", "0" * 16), "release_not_ready"),
        (("web", "--release", "latest"), "validation_failed"),
        (("web", "--release", "3"), "promotion_failed"),
        (("web", "--environment", "mian"), "not_found"),
        (("web", "--environment", "releases"), "not_found"),
        (("web", "--environment", "../x"), "not_found"),
        (("shop",), "not_found"),
        (("../web",), "not_found"),
    ],
)
def test_what_cannot_be_done_is_refused(
    site: Relevo, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    document = site.document("sites", "rollback", *arguments, "--offline", exit_code=1)

    assert document["code"] == code
    assert _shown(tmp_path) == "three"


def test_an_unknown_number_names_the_known_ones(site: Relevo) -> None:
    result = site("sites", "rollback", "web", "--offline", "--release", "99")

    assert "It tells of: 1, 2, 3. (release_not_ready)" in result.stderr


def test_a_damaged_release_is_refused_by_name_and_passed_over_without(
    site: Relevo, tmp_path: Path
) -> None:
    with site.app.app_context():
        tree = tmp_path / "sites" / "web" / "releases" / release(2).digest
    (tree / "index.html").chmod(0o644)
    (tree / "index.html").write_text("damaged")

    named = site.document("sites", "rollback", "web", "--offline", "--release", "2", exit_code=1)
    unnamed = site.document("sites", "rollback", "web", "--offline")

    assert (named["code"], named["changed"]) == ("release_not_ready", ["index.html"])
    assert unnamed["release"] == 1


def test_backups_need_the_database(site: Relevo) -> None:
    result = site("sites", "rollback", "web", "--offline", "--backup", "x")

    assert result.exit_code == 2


def test_it_takes_turns_with_promotions(
    site: Relevo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.offline.TURN_SECONDS", 0.05)
    store: SiteStore = site.app.extensions["relevo.store"]
    lock = pointer_lock_path(store.layout.root, "web", "main")

    with file_lock(lock, wait_seconds=0):
        document = site.document("sites", "rollback", "web", "--offline", exit_code=1)

    assert document["code"] == "promotion_in_progress"
    assert _shown(tmp_path) == "three"
