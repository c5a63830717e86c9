"""The usual way, to compare with: copy main aside, delete main, copy test over it."""

import http.server
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write plain files."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def promote(test: Path, main: Path, backup: Path) -> None:
    """Copy main to the backup, delete main, copy test over it."""
    if backup.exists():
        shutil.rmtree(backup)
    shutil.copytree(main, backup)
    shutil.rmtree(main)
    shutil.copytree(test, main)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Readers notice by themselves that an answer was cut."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve a plain folder from this process and yield the port."""
    handler = partial(_Quiet, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
