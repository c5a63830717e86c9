"""A TCP proxy in front of a server that can refuse, hang, be slow and cut."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

CHUNK = 65536
SLOW_SECONDS = 0.5
RESET = struct.pack("ii", 1, 0)  # close with RST instead of waiting for the other side


class Mode(StrEnum):
    """What happens to connections."""

    PASS = "pass"
    REFUSE = "refuse"
    HANG = "hang"
    SLOW = "slow"


class Proxy:
    """Passes bytes from a port of its own to `target` and back, unless told otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._pause_seconds = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def become(self, mode: Mode) -> None:
        """Change what happens to new connections and to those that are open."""
        self._pause_seconds = SLOW_SECONDS if mode is Mode.SLOW else 0.0
        if mode is Mode.HANG:
            self._flows.clear()
            return
        self._flows.set()
        if mode is Mode.REFUSE:
            # Closing alone leaves it listening for as long as the other thread waits at it.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self.cut()
        elif self._listener.fileno() < 0:
            self._listener = self._listen(self.port)

    def cut(self) -> None:
        """End all open connections without a word."""
        for end in list(self._open):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._flows.set()
        self._listener.close()
        self.cut()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was closed
            listener.settimeout(0.1)
            while listener.fileno() >= 0:
                with suppress(TimeoutError):
                    client, _ = listener.accept()
                    threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            ends = {client, server}
            self._open |= ends
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            self._open -= ends

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._flows.wait()
                time.sleep(self._pause_seconds)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
