"""A start with settings that cannot be used stops at once and names the setting."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import NOT_BUILT_YET, load_settings
from core.settings import SettingError
from tests.operations.server import REPOSITORY, Server

GOOD_KEYS = {
    "SECRET_KEY": "4f1d8b7c2e6a9035d1c4b8f7e2a6930514fb8d7c",
    "JWT_KEYS": "k1:9b2e7d4c1f8a6530e7d2b9c4f1a8653027e4d9b1",
    "FIELD_KEYS": "3N1cZ2xkU0hVb0tQd2pRa1l4R3ZtT2FzYnRlRmlMZHc=",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("ENVIRONMENT", "staging"),
        ("PUBLIC_URL", "relevo.example.org"),
        ("API_RATE_LIMIT", "often"),
        ("CORS_ORIGINS", "*"),
        ("SITES_DOMAIN", "-"),
        ("MAX_RELEASE_FILES", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "oracle://db"),
        ("REDIS_URL", "http://canary@127.0.0.1"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://:canary@[::1/0"),
        ("REDIS_URL", "redis://:canary@127.0.0.1:99999/0"),
        ("REDIS_URL", "redis://:canary@127.0.0.1/one"),
        ("REDIS_URL", "unix://"),
        ("CELERY_BROKER_URL", "sqs://canary@aws"),
        ("CELERY_BROKER_URL", "unix:///run/redis.sock"),
        ("CELERY_BROKER_URL", "amqp://"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "changethis-changethis-changethis-changethis"),
        ("JWT_KEYS", "k1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("FIELD_KEYS", "not-a-fernet-key"),
    ],
)
def test_a_bad_value_is_named(empty_dir: Path, name: str, value: str) -> None:
    environ = {"DATA_DIR": str(empty_dir), **GOOD_KEYS, name: value}

    with pytest.raises(SettingError, match=f"^{name} ") as refusal:
        load_settings(environ)

    assert name != "FIELD_KEYS" or value not in str(refusal.value)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("name", sorted(NOT_BUILT_YET))
def test_a_setting_of_something_unbuilt_is_refused(empty_dir: Path, name: str) -> None:
    environ = {"DATA_DIR": str(empty_dir), **GOOD_KEYS, name: "1"}

    with pytest.raises(SettingError, match=f"^{name} is set, but .* not built yet"):
        load_settings(environ)


def test_a_refused_start_is_one_line_and_exit_code_two(empty_dir: Path) -> None:
    outcome = Server(empty_dir).run("serve", **{**GOOD_KEYS, "PORT": "eighty"})

    assert outcome.returncode == 2
    assert outcome.stderr.startswith("relevo: PORT ")
    assert outcome.stderr.count("\n") == 1


def test_production_without_keys_names_the_command_that_makes_them(empty_dir: Path) -> None:
    outcome = Server(empty_dir).run("doctor")

    assert outcome.returncode == 2
    assert "relevo secrets generate" in outcome.stderr


def test_keys_are_made_once_and_are_private(empty_dir: Path) -> None:
    server = Server(empty_dir)

    first = server.run("secrets", "generate")
    kept = (empty_dir / "secrets.env").read_text()
    second = server.run("secrets", "generate")

    assert first.returncode == second.returncode == 0
    assert (empty_dir / "secrets.env").read_text() == kept
    assert stat.S_IMODE((empty_dir / "secrets.env").stat().st_mode) == 0o600
    assert stat.S_IMODE(empty_dir.stat().st_mode) == 0o700
    assert kept not in first.stdout + second.stdout


def test_the_password_of_the_first_admin_goes_to_a_private_file(empty_dir: Path) -> None:
    server = Server(empty_dir)

    outcome = server.run("setup", ADMIN_PASSWORD="")

    file = empty_dir / "admin-password"
    assert outcome.returncode == 0, outcome.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in outcome.stdout + outcome.stderr
    assert str(file) in outcome.stdout


def test_the_doctor_finds_an_installation_healthy(installation: Server) -> None:
    outcome = installation.run("doctor")

    assert outcome.returncode == 0, outcome.stdout
    assert "problem" not in outcome.stdout


def test_the_doctor_fails_when_keys_are_readable_by_others(installation: Server) -> None:
    keys = installation.data_dir / "secrets.env"
    keys.chmod(0o644)

    outcome = installation.run("doctor")

    keys.chmod(0o600)
    assert outcome.returncode == 1
    assert "chmod 600" in outcome.stdout


def test_what_is_not_set_is_not_imported(empty_dir: Path) -> None:
    unused = {"redis", "celery", "psycopg", "pymysql"}
    program = f"import sys, wsgi; print(sorted({unused} & sys.modules.keys()))"
    place = {"DATA_DIR": str(empty_dir), "PYTHONPATH": str(REPOSITORY), **GOOD_KEYS}

    outcome = subprocess.run(
        [sys.executable, "-c", program], env=place, capture_output=True, text=True, check=True
    )

    assert outcome.stdout == "[]\n"


def test_help_needs_no_keys(empty_dir: Path) -> None:
    outcome = Server(empty_dir).run("--help")

    assert outcome.returncode == 0
    assert outcome.stderr == ""
    assert "  serve " in outcome.stdout
    assert not (empty_dir / "relevo.db").exists()
