"""The examples for CI, run against a server."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from tests.examples.installation import (
    REPOSITORY,
    Installation,
    running_installation,
    running_worker,
)
from tests.services_guard import required_program

SCRIPT = REPOSITORY / "examples" / "ci-promote.sh"
GITLAB = REPOSITORY / "examples" / "gitlab-ci.yml"
SHA = "4f2c1d94f2c1d94f2c1d94f2c1d94f2c1d94f2c1"

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    required_program("curl")
    with running_installation(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def token(installation: Installation) -> str:
    return installation.token("--preset", "deploy")


@pytest.fixture
def slug(installation: Installation, request: pytest.FixtureRequest) -> str:
    """Make a site of the test's own."""
    name = f"site-{crc32(request.node.name.encode())}"
    installation.make_site(name)
    return name


def _folder(path: Path, text: str = "hello") -> Path:
    (path / "css").mkdir(parents=True, exist_ok=True)
    (path / "index.html").write_text(text)
    (path / "css" / "site.css").write_text("a{}")
    return path


def _run(
    installation: Installation, slug: str, folder: Path, token: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={
            "PATH": os.defpath,
            "URL": installation.url,
            "TOKEN": token,
            "SITE": slug,
            "DIR": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_publishes_and_promotes_what_it_uploaded(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    result = _run(installation, slug, _folder(tmp_path), token, GITHUB_SHA=SHA)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "release 1 is uploaded",
        f"main shows it: http://{slug}.localhost:8080/",
    ]
    assert installation.live("main", slug=slug) == 1
    environments = installation.call("GET", f"/sites/{slug}/environments")["items"]
    assert {place["commit"] for place in environments} == {SHA}


def test_the_same_content_again_is_no_failure(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    _run(installation, slug, _folder(tmp_path), token)

    result = _run(installation, slug, tmp_path, token)

    assert (result.returncode, result.stdout.splitlines()[0]) == (0, "release 1 is uploaded")


def test_a_repeated_attempt_counts_once(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    attempt = {"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "2"}
    folder = _folder(tmp_path / "site")
    _run(installation, slug, folder, token, **attempt)

    result = _run(installation, slug, folder, token, **attempt)

    assert result.returncode == 0, result.stderr
    assert installation.call("GET", f"/sites/{slug}/releases/1")["submissions"] == 1


def test_a_refused_upload_is_printed_and_fails(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    folder = _folder(tmp_path)
    (folder / ".env").write_text("PASSWORD=1")

    result = _run(installation, slug, folder, token)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("curl: (22)")
    assert '"code": "secret_file"' in result.stderr
    assert installation.live("test", slug=slug) is None


def test_a_refused_promotion_is_printed_and_fails(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    _run(installation, slug, _folder(tmp_path / "one", "one"), token)
    _run(installation, slug, _folder(tmp_path / "two", "two"), token)
    installation.call("POST", f"/sites/{slug}/rollback", {})

    result = _run(installation, slug, _folder(tmp_path / "three", "three"), token)

    assert result.returncode == 1
    assert result.stdout == "release 3 is uploaded\n"
    assert "ci-promote: release 3 was not promoted." in result.stderr
    assert '"code": "environment_held"' in result.stderr
    assert installation.live("main", slug=slug) == 1


def test_a_wrong_token_fails_and_is_not_printed(
    installation: Installation, slug: str, tmp_path: Path
) -> None:
    wrong = "rlv_" + "x" * 42

    result = _run(installation, slug, _folder(tmp_path), wrong)

    assert result.returncode == 1
    assert '"code": "token_invalid"' in result.stderr
    assert wrong not in result.stdout + result.stderr


@pytest.mark.parametrize("missing", ["URL", "TOKEN", "SITE", "DIR"])
def test_a_missing_setting_is_named(
    installation: Installation, token: str, tmp_path: Path, missing: str
) -> None:
    result = _run(installation, "web", _folder(tmp_path), token, **{missing: ""})

    assert result.returncode != 0
    assert missing in result.stderr


def test_a_folder_that_is_not_there_fails(
    installation: Installation, token: str, tmp_path: Path
) -> None:
    result = _run(installation, "web", tmp_path / "nowhere", token)

    assert (result.returncode == 0, result.stdout) == (False, "")


def test_a_server_that_is_away_fails(
    installation: Installation, token: str, tmp_path: Path
) -> None:
    result = _run(installation, "web", _folder(tmp_path), token, URL="http://127.0.0.1:9")

    assert (result.returncode, result.stdout) == (1, "")
    assert "the upload failed" in result.stderr


def test_the_gitlab_jobs_hand_the_release_on(
    installation: Installation, slug: str, token: str, tmp_path: Path
) -> None:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(GITLAB.read_text())
    _folder(tmp_path / "public")
    environment = {
        "RELEVO_SITE": f"{installation.url}/api/v1/sites/{slug}",
        "RELEVO_TOKEN": token,
        "CI_COMMIT_SHA": SHA,
    }

    uploaded = _job(jobs["publish to test"], tmp_path, CI_JOB_ID="1", **environment)
    handed_on = dict([(tmp_path / "release.env").read_text().strip().split("=")])
    promoted = _job(jobs["promote to main"], tmp_path, CI_JOB_ID="2", **environment, **handed_on)

    assert uploaded.returncode == 0, uploaded.stderr
    assert handed_on == {"RELEASE": "1"}
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["state"] == "succeeded"


def _job(
    job: dict[str, list[object]], folder: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the lines of a job as GitLab does: in one shell that stops at the first failure."""
    lines: list[str] = []
    for entry in job["script"]:
        lines += entry if isinstance(entry, list) else [str(entry)]
    return subprocess.run(
        ["/bin/sh", "-e", "-c", "\n".join(lines)],
        cwd=folder,
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation where each upload is large and nobody may hold a thread by waiting."""
    required_program("curl")
    data_dir = tmp_path_factory.mktemp("busy")
    limits = {"INLINE_RELEASE_FILES": "0", "WEB_THREADS": "1"}
    with running_installation(data_dir, **limits) as running, running_worker(data_dir):
        yield running


def test_the_script_waits_for_the_job_of_a_large_site(busy: Installation, tmp_path: Path) -> None:
    busy.relevo("sites", "create", "large")
    token = busy.token("--preset", "deploy")

    result = _run(busy, "large", _folder(tmp_path), token)

    assert (result.returncode, result.stderr) == (0, "")
    assert busy.live("main", slug="large") == 1


def test_the_script_fails_when_the_job_refuses_a_large_site(
    busy: Installation, tmp_path: Path
) -> None:
    busy.relevo("sites", "create", "secret")
    folder = _folder(tmp_path)
    (folder / ".env").write_text("PASSWORD=1")

    result = _run(busy, "secret", folder, busy.token("--preset", "deploy"))

    assert result.returncode == 1
    assert "secret_file" in result.stderr
