"""The bell of one host: a named pipe that wakes the worker process, and carries no facts."""

import os
import select
from contextlib import suppress
from pathlib import Path

PIPE = "worker.bell"
RING = b"!"
PIPE_BYTES = 65_536


class PipeBell:
    """Wakes a worker that works on the same DATA_DIR; nothing happens when none does."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "run" / PIPE

    def ring(self, *, job_id: str, queue: str) -> None:
        """Write one byte; a pipe that is full, missing or unread is no harm."""
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(descriptor, RING)
            finally:
                os.close(descriptor)

    def problem(self) -> str | None:
        """Find nothing wrong: without a listener the worker looks by itself."""
        return None


class PipeListener:
    """The worker's end of the pipe."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / "run" / PIPE
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Open for both, so that the pipe is never at its end when no writer is there.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, seconds: float) -> None:
        """Sleep until somebody rings, for at most `seconds`."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if ready:
            with suppress(BlockingIOError):
                os.read(self._descriptor, PIPE_BYTES)

    def ring(self) -> None:
        """Wake this listener; safe in a signal handler."""
        with suppress(OSError):
            os.write(self._descriptor, RING)

    def close(self) -> None:
        """Stop listening."""
        os.close(self._descriptor)
