"""Memory of the web worker: idle, and while it takes a large archive."""

import http.client
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil

from benchmarks.measure import Line
from tests.prove.content import noise
from tests.prove.installation import Installation

PART = "memory"
MIB = 1024 * 1024
ARCHIVE_MIB, QUICK_ARCHIVE_MIB = 500, 60
CHUNK = 256 * 1024


def run(quick: bool) -> list[Line]:
    """Upload one large archive to a fresh worker and watch its memory meanwhile."""
    size = QUICK_ARCHIVE_MIB if quick else ARCHIVE_MIB
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        archive = Path(folder) / "large.zip"
        _write_archive(archive, size)
        # The web worker itself unpacks: a job would grow a process that nobody waits for.
        installation = Installation(
            Path(folder) / "relevo", WEB_WORKERS="2", INLINE_RELEASE_BYTES=str(1024**3)
        )
        installation.set_up()
        with installation.running("web"):
            client = installation.client()
            client.post("/sites", {"slug": "web", "name": "Web"}).expect(201)
            workers = installation.members("web")[1:]
            idle = max(worker.memory_full_info().pss for worker in workers)
            grown = _grown_during(workers, lambda: _upload(installation, archive))
    return [
        Line(PART, "idle web worker, PSS", idle / MIB, "<= 90", unit=" MB"),
        Line(PART, f"growth of a worker by a {size} MB archive", grown / MIB, "<= 64", " MB"),
    ]


def _write_archive(path: Path, size_mib: int) -> None:
    data = noise("large", MIB) * 10
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("index.html", "<h1>Large</h1>")
        for number in range(size_mib // 10):
            archive.writestr(f"files/{number}.bin", f"{number:08d}".encode() + data[8:])


def _upload(installation: Installation, archive: Path) -> None:
    with archive.open("rb") as body:
        connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=600)
        headers = {
            "Authorization": f"Bearer {installation.api_token()}",
            "Content-Type": "application/zip",
            "Content-Length": str(archive.stat().st_size),
        }
        connection.request("POST", "/api/v1/sites/web/releases", _chunks(body), headers)
        response = connection.getresponse()
        assert response.status == 201, response.read()
        response.read()


def _chunks(body: BinaryIO) -> Iterator[bytes]:
    while chunk := body.read(CHUNK):
        yield chunk


def _grown_during(workers: list[psutil.Process], work: Callable[[], None]) -> int:
    """Return by how much the largest worker was larger than before, at its largest."""
    before = {worker.pid: worker.memory_info().rss for worker in workers}
    grown, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            grown.extend(w.memory_info().rss - before[w.pid] for w in workers)
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join()
    return max(grown)
