"""Changing the keys of an installation that is in use."""

from pathlib import Path

import requests
from dotenv import dotenv_values

from tests.operations.server import Server


def keys_of(server: Server) -> dict[str, list[str]]:
    values = dotenv_values(server.data_dir / "secrets.env")
    return {name: (value or "").split(",") for name, value in values.items()}


def test_keys_are_rotated_and_retired_without_losing_a_session(empty_dir: Path) -> None:
    server = Server(empty_dir)
    assert server.run("setup").returncode == 0
    before = keys_of(server)
    server.start()
    headers = server.sign_in()
    try:
        rotated = server.run("secrets", "rotate")
        too_early = server.run("secrets", "retire")
        server.kill()
        server.start()
        with_old_key = requests.get(f"{server.url}/api/v1/auth/whoami", headers=headers, timeout=10)
        retired = server.run("secrets", "retire")
    finally:
        server.kill()

    after = keys_of(server)
    assert rotated.returncode == retired.returncode == 0, retired.stderr
    assert too_early.returncode == 1
    assert "restart" in too_early.stderr
    assert with_old_key.status_code == 200
    assert after["SECRET_KEY"] == before["SECRET_KEY"]
    for name in ("JWT_KEYS", "FIELD_KEYS"):
        assert len(after[name]) == 1
        assert after[name] != before[name]


def test_rotation_without_keys_is_refused(empty_dir: Path) -> None:
    outcome = Server(empty_dir).run("secrets", "rotate")

    assert outcome.returncode == 1
    assert "secrets.env" in outcome.stderr
