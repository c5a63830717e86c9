"""The Postman collection knows every operation and runs from top to bottom."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from api.documented import documented_operations
from api.mounting import EXTENSION
from api.postman_steps import CHAPTERS
from tests import engines
from tests.api.platform.applications import ENVIRONMENT, REPOSITORY, START_SECONDS
from tests.services_guard import required_program

PASSWORD = "velvet tortoise 81 admin"
RELEVO = [sys.executable, "-m", "cli.console"]


@pytest.fixture(scope="module")
def collection(app: Flask) -> dict[str, Any]:  # Any: JSON of every shape
    found: dict[str, Any] = app.test_client().get("/postman.json").get_json()
    return found


def test_every_operation_has_its_place_in_the_run(app: Flask) -> None:
    used = {step.operation for chapter in CHAPTERS for step in chapter.steps}

    with app.test_request_context():
        operations = documented_operations(app.extensions[EXTENSION])

    assert {entry.operation_id for entry in operations if entry.tag != "probe"} == used


def test_every_request_asserts_its_status(collection: dict[str, Any]) -> None:
    for folder in collection["item"]:
        for item in folder["item"]:
            scripts = ["".join(event["script"]["exec"]) for event in item["event"]]
            assert "pm.expect(pm.response.code)" in scripts[0], item["name"]


def test_no_secret_is_filled_in(collection: dict[str, Any]) -> None:
    variables = {entry["key"]: entry["value"] for entry in collection["variable"]}

    assert variables == {"base_url": "http://localhost:8000", "username": "admin", "password": ""}


@pytest.mark.service
def test_the_collection_runs_against_a_fresh_installation(tmp_path: Path) -> None:
    newman = required_program("newman")

    with installation(tmp_path) as url:
        collection = tmp_path / "collection.json"
        collection.write_bytes(requests.get(f"{url}/postman.json", timeout=30).content)
        values = [f"base_url={url}", f"password={PASSWORD}"]
        options = [word for value in values for word in ("--env-var", value)]
        run = subprocess.run(
            [newman, "run", str(collection), *options, "--color", "off"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert run.returncode == 0, run.stdout


@contextmanager
def installation(data_dir: Path) -> Iterator[str]:
    """Set an installation up as its operator would, serve it, and yield its address."""
    environment = {
        "PATH": os.defpath,
        **ENVIRONMENT,
        "DATA_DIR": str(data_dir),
        **engines.settings_of(data_dir),
        "ADMIN_PASSWORD": PASSWORD,
    }
    subprocess.run([*RELEVO, "setup"], cwd=REPOSITORY, env=environment, check=True, timeout=120)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        binding = ["--bind", f"fd://{listener.fileno()}", "--no-control-socket"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", "--threads", "4", *binding],
            cwd=REPOSITORY,
            env=environment,
            pass_fds=(listener.fileno(),),
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            _wait_until_ready(url)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/readyz", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the installation did not become ready")
