"""`relevo sites push`, `verify` and `prune`."""

import errno
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests import engines
from tests.cli.commands import PROGRAM, REPOSITORY, Relevo, folder_with
from tests.factories import damage, live, make_site, release, served
from tests.people import ENVIRONMENT, People


@pytest.fixture
def site(people: People, relevo: Relevo) -> Relevo:
    """The command on an installation with the site `web`, which shows nothing yet."""
    with people.app.app_context():
        make_site()
    return relevo


def test_a_pushed_folder_is_served_on_test(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public", about="us")

    result = site("sites", "push", "web", folder)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Release 1: 2 files, 7 bytes.",
        "test shows release 1 now: http://test--web.localhost:8080/",
    ]
    with site.app.app_context():
        assert (served("test"), live("main")) == ("hello", None)


def test_a_push_may_promote_exactly_its_release(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")

    document = site.document("sites", "push", "web", folder, "--promote", "--to", "none")

    assert document["release"]["number"] == 1
    assert [(move["kind"], move["to_environment"]) for move in document["promotions"]] == [
        ("promote", "main")
    ]
    with site.app.app_context():
        assert (live("test"), live("main")) == (None, 1)


def test_a_push_notes_where_it_came_from(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")
    note = {"message": "New menu", "commit": "4f2c1d9", "source_url": "https://ci.example/7"}

    document = site.document(
        "sites",
        "push",
        "web",
        folder,
        *("--message", note["message"]),
        *("--commit", note["commit"]),
        *("--source-url", note["source_url"]),
    )

    assert {name: document["release"][name] for name in note} == note


def test_the_same_content_is_the_same_release(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")
    site("sites", "push", "web", folder)

    result = site("sites", "push", "web", folder)

    assert result.stdout.startswith("Release 1: 1 files, 5 bytes; its content was here already.")


def test_a_refused_promotion_keeps_the_release_and_names_it(site: Relevo, tmp_path: Path) -> None:
    site("sites", "push", "web", folder_with(tmp_path / "old", index="old"))
    site("sites", "push", "web", folder_with(tmp_path / "new", index="new"), "--promote")
    with site.app.app_context():
        damage(2)
    site("sites", "verify", "web")

    document = site.document("sites", "push", "web", tmp_path / "old", "--promote", exit_code=1)

    assert (document["code"], document["uploaded"]) == ("backup_failed", 1)
    with site.app.app_context():
        assert release(1).submission_count == 2


@pytest.mark.parametrize("name", [".env", "server.key"])
def test_files_that_look_secret_are_refused_unless_they_are_meant(
    site: Relevo, tmp_path: Path, name: str
) -> None:
    folder = folder_with(tmp_path / "public")
    (folder / name).write_text("-----BEGIN PRIVATE KEY-----\n")

    refused = site.document("sites", "push", "web", folder, exit_code=1)
    told = site("sites", "push", "web", folder)
    accepted = site("sites", "push", "web", folder, "--allow-secret-files")

    assert (refused["code"], refused["paths"]) == ("secret_file", [name])
    assert "or say --allow-secret-files if they are meant" in told.stderr
    assert f"\n  {name} looks secret (secret_file)\n" in told.stderr
    assert accepted.exit_code == 0


def test_links_are_refused_instead_of_left_out(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")
    (folder / "passwords.html").symlink_to("/etc/passwd")

    document = site.document("sites", "push", "web", folder, exit_code=1)

    assert (document["code"], document["rule"], document["entry"]) == (
        "archive_invalid",
        "link",
        "passwords.html",
    )


def test_two_names_of_one_file_are_two_files(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")
    (folder / "zz.html").hardlink_to(folder / "index.html")

    document = site.document("sites", "push", "web", folder)

    assert document["release"]["file_count"] == 2
    with site.app.app_context():
        assert (served("test"), served("test", path="zz.html")) == ("hello", "hello")


def test_an_empty_folder_is_refused(site: Relevo, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()

    document = site.document("sites", "push", "web", tmp_path / "public", exit_code=1)

    assert document["errors"][0]["code"] == "empty"


def test_an_unknown_site_is_told(site: Relevo, tmp_path: Path) -> None:
    result = site("sites", "push", "shop", folder_with(tmp_path / "public"))

    assert result.exit_code == 1
    assert result.stderr.endswith("(not_found)\n")


def test_a_terminal_sees_how_far_a_push_is(site: Relevo, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "public")
    place = {"DATA_DIR": str(tmp_path), **engines.settings_of(tmp_path)}
    master, terminal = pty.openpty()

    process = subprocess.Popen(
        [*PROGRAM, "sites", "push", "web", str(folder), "--json"],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **ENVIRONMENT, **place, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    output, _ = process.communicate(timeout=60)

    shown = _everything(master)
    assert process.returncode == 0, shown
    assert "Packing" in shown
    assert "Uploading" in shown
    assert "100%" in shown
    assert output.startswith(b"{")


def test_sound_releases_verify(site: Relevo, tmp_path: Path) -> None:
    site("sites", "push", "web", folder_with(tmp_path / "public"))

    result = site("sites", "verify", "--full")

    assert (result.exit_code, result.stdout) == (0, "Verified 1 releases, 0 are damaged.\n")


def test_a_damaged_release_is_named_and_fails(site: Relevo, tmp_path: Path) -> None:
    site("sites", "push", "web", folder_with(tmp_path / "public"))
    with site.app.app_context():
        damage(1)

    document = site.document("sites", "verify", "web", exit_code=1)

    assert document == {"verified": 1, "damaged": [{"site": "web", "release": 1}]}
    with site.app.app_context():
        assert release(1).verified_at is None


def test_a_release_without_its_manifest_is_damaged(site: Relevo, tmp_path: Path) -> None:
    site("sites", "push", "web", folder_with(tmp_path / "one", index="one"))
    site("sites", "push", "web", folder_with(tmp_path / "two", index="two"))
    with site.app.app_context():
        site.app.extensions["relevo.store"].layout.manifest("web", release(1).digest).unlink()

    document = site.document("sites", "verify", exit_code=1)

    assert document == {"verified": 2, "damaged": [{"site": "web", "release": 1}]}


def test_verifying_an_unknown_site_is_refused(site: Relevo) -> None:
    assert site.document("sites", "verify", "shop", exit_code=1)["code"] == "not_found"


def test_pruning_deletes_what_nothing_needs(site: Relevo, tmp_path: Path) -> None:
    for text in ("one", "two", "three", "four"):
        site("sites", "push", "web", folder_with(tmp_path / text, index=text))
    options = ("--keep", "1", "--older-than-days", "0")

    foretold = site.document("sites", "prune", "web", *options, "--dry-run")
    done = site.document("sites", "prune", "web", *options)

    assert sorted(foretold["deleted"]) == sorted(done["deleted"]) == [1, 2]
    assert sorted(done["kept"]) == [3, 4]


def test_recent_releases_are_not_pruned_by_default(site: Relevo, tmp_path: Path) -> None:
    for number in range(12):
        site("sites", "push", "web", folder_with(tmp_path / str(number), index=str(number)))

    result = site("sites", "prune", "web")

    assert result.stdout == "Deleted nothing; 12 releases stay; 0 bytes freed.\n"


def _everything(master: int) -> str:
    """Read what was written to a terminal that nobody holds open any more."""
    shown = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            break
        if not chunk:
            break
        shown += chunk
    os.close(master)
    return shown.decode()
