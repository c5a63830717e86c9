"""Starting, stopping and surviving."""

import io
import os
import signal
import socket
import tarfile
import time
from contextlib import suppress

import psutil
import requests

from tests.operations.server import STOP_SECONDS, Server, SlowRequest


def archive(text: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("index.html")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def named(server: Server, words: str) -> list[psutil.Process]:
    found = []
    for process in server.members():
        with suppress(psutil.Error):  # it has ended meanwhile
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_serves_api_and_sites_and_tells_where(running: Server) -> None:
    page = requests.get(
        f"http://127.0.0.1:{running.sites_port}/", headers={"Host": "starter.localhost"}, timeout=5
    )

    assert page.status_code == 200
    assert page.headers["X-Release"]
    assert f"http://localhost:{running.port}/swagger" in running.log.read_text()


def test_neither_port_serves_what_belongs_to_the_other(running: Server) -> None:
    sites = f"http://127.0.0.1:{running.sites_port}"

    api_on_sites = requests.get(
        f"{sites}/api/v1/version", headers={"Host": "starter.localhost"}, timeout=5
    )
    site_on_api = requests.get(running.url, headers={"Host": "starter.localhost"}, timeout=5)

    assert api_on_sites.status_code == 404
    assert site_on_api.status_code == 404


def test_term_to_the_parent_leaves_nobody_behind(server: Server) -> None:
    parent = server.start()

    parent.send_signal(signal.SIGTERM)

    server.wait_until_gone()
    assert server.process is not None
    assert server.process.wait(timeout=5) == 0


def test_term_to_the_whole_group_leaves_nobody_behind(server: Server) -> None:
    parent = server.start()

    os.killpg(parent.pid, signal.SIGTERM)
    os.killpg(parent.pid, signal.SIGTERM)

    server.wait_until_gone()


def test_kill_of_the_group_leaves_nobody_behind(server: Server) -> None:
    parent = server.start()

    os.killpg(parent.pid, signal.SIGKILL)

    server.wait_until_gone()


def test_kill_of_the_parent_alone_leaves_nobody_behind(server: Server) -> None:
    parent = server.start()
    assert len(server.members()) >= 6

    parent.kill()

    server.wait_until_gone()


def test_an_upload_in_flight_is_finished_before_the_server_ends(server: Server) -> None:
    parent = server.start()
    upload = SlowRequest(server, archive("<h1>slow</h1>"))
    upload.send_half()

    parent.send_signal(signal.SIGTERM)
    time.sleep(0.5)  # the signal goes from the parent to its children meanwhile
    answer = upload.finish()

    assert answer.startswith(b"HTTP/1.1 201 ")
    server.wait_until_gone()


def test_a_worker_that_dies_is_started_again(running: Server) -> None:
    before = named(running, "cli.console worker")[0]

    before.kill()

    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        after = [p for p in named(running, "cli.console worker") if p.pid != before.pid]
        if after:
            break
        time.sleep(0.1)
    assert after


def test_a_second_start_loses_nothing(server: Server) -> None:
    server.start()
    headers = server.sign_in()
    url = f"{server.url}/api/v1/sites/starter/releases"
    number = requests.post(url, data=archive("<h1>kept</h1>"), headers=headers, timeout=10).json()[
        "number"
    ]
    server.kill()
    keys = (server.data_dir / "secrets.env").read_bytes()

    assert server.run("setup").returncode == 0
    server.start()

    again = requests.get(f"{url}/{number}", headers=headers, timeout=10)
    assert again.status_code == 200
    assert (server.data_dir / "secrets.env").read_bytes() == keys


def test_one_data_dir_has_one_server(running: Server) -> None:
    second = running.run("serve")

    assert second.returncode == 1
    assert "another relevo serve" in second.stderr


def test_a_taken_port_is_named_by_its_setting(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        outcome = server.run("serve", SITES_PORT=port)

    assert outcome.returncode == 1
    assert "SITES_PORT" in outcome.stderr


def test_everything_that_is_written_lies_below_data_dir(running: Server) -> None:
    headers = running.sign_in()

    requests.post(
        f"{running.url}/api/v1/sites/starter/releases",
        data=archive("<h1>where</h1>"),
        headers=headers,
        timeout=10,
    )

    beside = {path.name for path in running.data_dir.parent.iterdir()}
    assert beside == {"data", "serve.log"}
