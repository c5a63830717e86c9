"""`relevo backup` as an operator uses it."""

import json
import re
import stat
from pathlib import Path

import pytest
from flask import Flask

from app import create_served_app
from core import restore_marker
from core.errors import DomainError
from tests.cli.commands import Relevo, run_process
from tests.installations import fill, installation, served
from tests.installations import migrated as migrated
from tests.installations import source as source
from tests.people import ENVIRONMENT, FIELD_KEY, KEY


@pytest.fixture
def relevo(source: Flask) -> Relevo:
    """The command on an installation in which something happened."""
    fill(source)
    return Relevo(source)


def test_saved_proven_and_listed(relevo: Relevo, tmp_path: Path) -> None:
    made = relevo.document("backup", "create", tmp_path / "a.tar")
    proof = relevo.document("backup", "verify", tmp_path / "a.tar")
    listed = relevo.document("backup", "list", tmp_path)

    assert made["file"] == str(tmp_path / "a.tar")
    assert proof["sound"] is True
    assert proof["summary"] == made["summary"]
    assert [entry["file"] for entry in listed["items"]] == [made["file"]]
    assert "Sound: full" in relevo("backup", "verify", tmp_path / "a.tar").output
    assert "a.tar" in relevo("backup", "list", tmp_path).output
    assert relevo("backup", "list", tmp_path.parent / "none").output == "No backups.\n"


def test_keys_go_to_a_private_file_of_their_own(relevo: Relevo, tmp_path: Path) -> None:
    keys = tmp_path / "keys.env"

    first = relevo("backup", "create", tmp_path / "a.tar", "--keys", keys)
    second = relevo("backup", "create", tmp_path / "b.tar", "--keys", keys)

    assert first.exit_code == 0, first.output
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert second.exit_code == 1
    assert not (tmp_path / "b.tar").exists()


def test_what_is_wrong_is_said_with_exit_code_one(relevo: Relevo, tmp_path: Path) -> None:
    relevo("backup", "create", tmp_path / "a.tar")
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content.replace(b"about about", b"about-about", 1))

    proof = relevo.document("backup", "verify", tmp_path / "a.tar", exit_code=1)
    refusal = relevo.document("backup", "restore", tmp_path / "a.tar", exit_code=1)

    assert proof["problems"][0]["code"] == "altered"
    assert refusal["code"] == "installation_backup_invalid"
    assert refusal["errors"][0]["code"] == "altered"


def test_moving_with_the_keys_into_an_empty_folder(
    relevo: Relevo, source: Flask, tmp_path: Path
) -> None:
    expected = served(source)
    relevo("backup", "create", tmp_path / "a.tar", "--keys", tmp_path / "keys.env")
    target = tmp_path / "target"

    moved = run_process(
        *("backup", "restore", tmp_path / "a.tar", "--keys", tmp_path / "keys.env", "--json"),
        data_dir=target,
        DATABASE_URL="",
        **NO_KEYS,
    )

    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["sessions_kept"] is False
    assert stat.S_IMODE((target / "secrets.env").stat().st_mode) == 0o600
    with installation(target) as app:
        assert served(app) == expected


NO_KEYS = {"SECRET_KEY": "", "JWT_KEYS": "", "FIELD_KEYS": ""}
OTHER_KEYS = f"SECRET_KEY={KEY[::-1]}\nJWT_KEYS=a:{KEY[::-1]}\nFIELD_KEYS={FIELD_KEY}\n"


@pytest.mark.parametrize(
    ("spoil", "said", "exit_code"),
    [
        ("file", "not what it was", 1),
        ("database", "is not empty", 1),
        ("other keys", "SECRET_KEY is not the one", 1),
        ("bad key", "keys.env: FIELD_KEYS cannot be", 2),
        ("short key", "keys.env: SECRET_KEY", 2),
        ("missing key", "keys.env does not hold", 1),
        ("binary", "keys.env cannot be read", 1),
    ],
)
def test_a_refused_restore_writes_nothing_and_the_right_one_follows(
    relevo: Relevo, source: Flask, tmp_path: Path, spoil: str, said: str, exit_code: int
) -> None:
    file, keys, target = tmp_path / "a.tar", tmp_path / "keys.env", tmp_path / "target"
    relevo("backup", "create", file, "--keys", keys)
    sound, right = file.read_bytes(), keys.read_bytes()
    lines = right.decode("ascii")
    spoilt: dict[str, str | bytes] = {
        "other keys": OTHER_KEYS,
        "bad key": re.sub("FIELD_KEYS=.*", "FIELD_KEYS=x", lines),
        "short key": re.sub("SECRET_KEY=.*", "SECRET_KEY=x", lines),
        "missing key": re.sub("JWT_KEYS=.*", "", lines),
        "binary": b"\xff\xfe\x00",
    }
    keys.write_bytes(_bytes(spoilt.get(spoil, right)))
    if spoil == "file":
        file.write_bytes(sound.replace(b"about about", b"about-about", 1))
    full = source.extensions["relevo.settings"].database_url if spoil == "database" else ""
    command = ("backup", "restore", file, "--keys", keys)

    refused = run_process(*command, data_dir=target, **{**NO_KEYS, "DATABASE_URL": full})

    assert (refused.returncode, said in refused.stderr) == (exit_code, True), refused.stderr
    assert not target.exists() or list(target.iterdir()) == []
    file.write_bytes(sound)
    keys.write_bytes(right)
    done = run_process(*command, data_dir=target, **{**NO_KEYS, "DATABASE_URL": ""})
    assert done.returncode == 0, done.stderr
    assert (target / "secrets.env").is_file()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def test_other_keys_in_the_folder_are_kept(relevo: Relevo, tmp_path: Path) -> None:
    relevo("backup", "create", tmp_path / "a.tar", "--keys", tmp_path / "keys.env")
    target = tmp_path / "target"
    target.mkdir()
    (target / "secrets.env").write_text("SECRET_KEY=other\nJWT_KEYS=a:b\nFIELD_KEYS=c\n")

    outcome = relevo(
        *("backup", "restore", tmp_path / "a.tar", "--keys", tmp_path / "keys.env"),
        *("--data-dir", target),
    )

    assert outcome.exit_code == 1
    assert "holds other keys" in outcome.stderr
    assert "SECRET_KEY=other" in (target / "secrets.env").read_text()


@pytest.fixture
def half_restored(tmp_path: Path) -> Path:
    """A data folder in which a restore was interrupted."""
    data_dir = tmp_path / "half"
    data_dir.mkdir(mode=0o700)
    restore_marker.put(data_dir, {"command": "relevo backup restore FILE"})
    return data_dir


def test_the_server_does_not_start_on_a_half_restored_installation(half_restored: Path) -> None:
    outcome = run_process("serve", data_dir=half_restored, DATABASE_URL="")

    assert outcome.returncode == 1
    assert "installation_unfinished" in outcome.stderr


def test_other_commands_are_refused_too(half_restored: Path) -> None:
    with installation(half_restored) as app:
        relevo = Relevo(app)

        assert relevo.document("sites", "list", exit_code=1)["code"] == "installation_unfinished"
        for command in (("worker",), ("setup", "--data-dir", half_restored)):
            outcome = relevo(*command)
            assert outcome.exit_code == 1
            assert "installation_unfinished" in outcome.stderr


def test_web_servers_of_ones_own_are_refused_too(
    half_restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ENVIRONMENT, "DATA_DIR": str(half_restored)}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(DomainError, match="was interrupted"):
        create_served_app()
