"""`relevo sites nginx-config`."""

import re
import subprocess
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


def _configuration(data_dir: Path, **environment: str) -> str:
    result = run_process("sites", "nginx-config", data_dir=data_dir, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_it_carries_the_present_settings(tmp_path: Path) -> None:
    sites = tmp_path / "sites-of.acme"

    text = _configuration(tmp_path / "data", SITES_ROOT=str(sites), **SETTINGS)

    assert f"root {sites}/.hosts/$relevo_host;\n" in text
    assert f'"~^{re.escape(str(sites))}/[a-z0-9-]+/releases/' in text
    assert r"/sites\-of\.acme/" in text
    assert r"--[a-z0-9-]+\.pages\.acme\.test$" in text
    assert "server_name relevo.acme.test;\n" in text
    assert "proxy_pass http://127.0.0.1:8123;\n" in text
    assert "client_max_body_size 2192m;\n" in text
    assert "proxy_read_timeout 800s;\n" in text


def test_nothing_of_the_examples_is_left(tmp_path: Path) -> None:
    text = _configuration(tmp_path, SITES_ROOT=str(tmp_path / "sites"), **SETTINGS)

    for placeholder in ("example.org", r"example\.org", "/var/lib/relevo/sites", "8000"):
        assert placeholder not in text


def test_what_the_settings_cannot_tell_stays_marked(tmp_path: Path) -> None:
    text = _configuration(tmp_path, **SETTINGS)

    marked = {line.split()[0] for line in text.splitlines() if line.endswith("# CHANGE")}
    assert marked == {"listen", "root"}
    assert "root /var/lib/relevo-acme; # CHANGE" in text


@pytest.mark.service
def test_nginx_accepts_it(tmp_path: Path) -> None:
    nginx = required_program("nginx")
    text = _configuration(tmp_path, **SETTINGS)
    (tmp_path / "relevo.conf").write_text(text.replace("listen 80", "listen 127.0.0.1:18080"))
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


def test_a_folder_that_nginx_may_not_enter_is_warned_about(tmp_path: Path) -> None:
    inside = run_process("sites", "nginx-config", data_dir=tmp_path / "data")
    outside = run_process(
        "sites", "nginx-config", data_dir=tmp_path / "data", SITES_ROOT=str(tmp_path / "sites")
    )

    assert inside.stderr.startswith("warning: SITES_ROOT lies inside DATA_DIR")
    assert outside.stderr == ""


def test_a_path_that_would_need_quotes_is_refused(tmp_path: Path) -> None:
    result = run_process(
        "sites", "nginx-config", data_dir=tmp_path, SITES_ROOT=str(tmp_path / "our sites")
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert "SITES_ROOT: nginx needs a path of letters" in result.stderr


def test_it_is_a_document_for_scripts(relevo: Relevo, people: People) -> None:
    document = relevo.document("sites", "nginx-config")

    assert document["configuration"].startswith("# nginx in front of Relevo")
