import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from config import load_settings
from serving.app import create_sites_app
from tests.serving.conftest import Visitor
from tests.serving.exchange import TIMEOUT_SECONDS, fetch, read_reply
from tests.serving.trees import write_site

LARGE = b"0123456789abcdef" * (1 << 20)


def test_a_large_file_arrives_whole(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"large.bin": LARGE})

    answer = fetch(gunicorn_port, "/large.bin")

    assert answer.body == LARGE


def test_a_large_part_arrives_whole(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"large.bin": LARGE})

    middle = fetch(gunicorn_port, "/large.bin", headers={"Range": "bytes=5-9000004"})
    end = fetch(gunicorn_port, "/large.bin", headers={"Range": "bytes=5-"})

    assert middle.body == LARGE[5:9_000_005]
    assert end.body == LARGE[5:]


def test_a_download_outlives_its_release(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"large.bin": LARGE})
    request = b"GET /large.bin HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n"

    with socket.create_connection(("127.0.0.1", gunicorn_port), TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        connection.recv(1, socket.MSG_PEEK)
        shutil.rmtree(root / "web")
        answer = read_reply(connection)

    assert answer.body == LARGE
    assert fetch(gunicorn_port, "/large.bin").status == 404


def test_head_of_a_large_file_sends_nothing(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"large.bin": LARGE})

    answer = fetch(gunicorn_port, "/large.bin", method="HEAD")

    assert (answer.headers["Content-Length"], answer.body) == (str(len(LARGE)), b"")


def test_a_connection_carries_many_requests(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"index.html": b"home", "large.bin": LARGE})
    request = b"GET /large.bin HTTP/1.1\r\nHost: web.localhost\r\n\r\n"

    with socket.create_connection(("127.0.0.1", gunicorn_port), TIMEOUT_SECONDS) as connection:
        bodies = []
        for _ in range(3):
            connection.sendall(request)
            bodies.append(read_reply(connection).body)

    assert bodies == [LARGE] * 3


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_answer_leaves_a_file_open(visitor: Visitor, root: Path) -> None:
    write_site(root, {"index.html": b"home", "large.bin": LARGE, "404.html": b"none"})
    tag = visitor.get("/large.bin").headers["ETag"]
    before = open_files()

    for _ in range(5):
        visitor.get("/large.bin").close()
        visitor.get("/large.bin", range="bytes=1-2000000").close()
        visitor.get("/large.bin", range="bytes=99999999-")
        visitor.get("/large.bin", if_none_match=tag)
        visitor.send("HEAD", "/large.bin")
        visitor.get("/nothing")

    assert open_files() == before


def test_a_server_without_a_file_wrapper_gets_the_bytes(root: Path) -> None:
    write_site(root, {"large.bin": LARGE})
    settings = {"ENVIRONMENT": "development", "SITES_ROOT": str(root), "DATA_DIR": str(root)}
    app = create_sites_app(load_settings(settings))
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/large.bin",
        "HTTP_HOST": "web.localhost",
    }

    body: Iterable[bytes] = app(environ, lambda *_: bytearray().extend)

    assert b"".join(body) == LARGE
    body.close()  # type: ignore[attr-defined]  # PEP 3333: the server calls it
