"""`relevo sites nginx-config`."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import Relevo, run_process
from tests.people import People
from tests.services_guard import required_program

SETTINGS = {
    "PUBLIC_URL": "https://relevo.acme.test",
    "SITES_DOMAIN": "pages.acme.test",
    "HOST": "0.0.0.0",
    "PORT": "8123",
    "MAX_UPLOAD_BYTES": str(2 * 1024**3),
    "MAX_WAIT_SECONDS": "400",
}


@dataclass(frozen=True)
class Printed:
    """What the command printed, and where the sites are."""

    sites: Path
    text: str
    warnings: str


def _printed(data_dir: Path, sites: Path, **environment: str) -> Printed:
    result = run_process("sites", "nginx-config", data_dir=data_dir, **SETTINGS, **environment)
    assert result.returncode == 0, result.stderr
    return Printed(sites, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """With the sites below DATA_DIR, where they are when nothing is said."""
    data_dir = tmp_path_factory.mktemp("inside") / "data"
    return _printed(data_dir, data_dir / "sites")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """With the sites in a folder of their own."""
    folder = tmp_path_factory.mktemp("outside")
    sites = folder / "sites-of.acme"
    return _printed(folder / "data", sites, SITES_ROOT=str(sites))


def test_it_carries_the_present_settings(outside: Printed) -> None:
    text, sites = outside.text, outside.sites

    assert f"root {sites}/.hosts/$relevo_host;\n" in text
    assert f'"~^{re.escape(str(sites))}/[a-z0-9-]+/releases/' in text
    assert r"/sites\-of\.acme/" in text
    assert r"--[a-z0-9-]+\.pages\.acme\.test$" in text
    assert "server_name relevo.acme.test;\n" in text
    assert "proxy_pass http://127.0.0.1:8123;\n" in text
    assert "client_max_body_size 2192m;\n" in text
    assert "proxy_read_timeout 800s;\n" in text


def test_nothing_of_the_examples_is_left(outside: Printed) -> None:
    for placeholder in ("example.org", r"example\.org", "/var/lib/relevo/sites", "8000"):
        assert placeholder not in outside.text


def test_what_the_settings_cannot_tell_stays_marked(inside: Printed) -> None:
    lines = inside.text.splitlines()

    marked = {line.split()[0] for line in lines if line.endswith("# CHANGE")}
    assert marked == {"listen", "root"}
    assert "root /var/lib/relevo-acme; # CHANGE" in inside.text


@pytest.mark.service
def test_nginx_accepts_it(inside: Printed, tmp_path: Path) -> None:
    nginx = required_program("nginx")
    text = inside.text.replace("listen 80", "listen 127.0.0.1:18080")
    (tmp_path / "relevo.conf").write_text(text)
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/nginx.pid;\nerror_log {tmp_path}/error.log;\nevents {{ }}\n"
        f"http {{ access_log off; include {tmp_path}/relevo.conf; }}\n"
    )

    result = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(main)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr


def test_a_folder_that_nginx_may_not_enter_is_warned_about(
    inside: Printed, outside: Printed
) -> None:
    assert inside.warnings.startswith("warning: SITES_ROOT lies inside DATA_DIR")
    assert outside.warnings == ""


def test_a_path_that_would_need_quotes_is_refused(tmp_path: Path) -> None:
    result = run_process(
        "sites", "nginx-config", data_dir=tmp_path, SITES_ROOT=str(tmp_path / "our sites")
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert "SITES_ROOT: nginx needs a path of letters" in result.stderr


def test_it_is_a_document_for_scripts(relevo: Relevo, people: People) -> None:
    document = relevo.document("sites", "nginx-config")

    assert document["configuration"].startswith("# nginx in front of Relevo")
