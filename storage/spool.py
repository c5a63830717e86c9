"""An upload on its way in, kept in a file without a name so that a crash leaves nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage import files
from storage.errors import LimitReachedError
from storage.files import CHUNK_BYTES

NAMED = "upload"
NEW_NAMED = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Readable(Protocol):
    """All that is asked of an incoming stream."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Spool:
    """A received upload: bytes that can be read at any position, by any thread.

    `path` leads to the file while it is open, whether it has a name or not.
    """

    descriptor: int
    size_bytes: int
    path: Path

    def read_at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end."""
        data = os.pread(self.descriptor, count, offset)
        while len(data) < count:
            more = os.pread(self.descriptor, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def keep(self, target: Path) -> None:
        """Give the upload a name that outlives this process; durable when this returns.

        Raises:
            FileExistsError: something has that name already.
        """
        files.keep_open_file(self.descriptor, self.path, target)


@contextmanager
def spooled(stream: Readable, *, folder: Path, max_bytes: int) -> Iterator[Spool]:
    """Receive the whole stream, at most `max_bytes`, and forget it afterwards."""
    descriptor, path = _new_file(folder)
    try:
        size = 0
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                raise LimitReachedError(setting="MAX_UPLOAD_BYTES", limit=max_bytes)
            files.write_all(descriptor, chunk)
        yield Spool(descriptor, size, path)
    finally:
        os.close(descriptor)
        (folder / NAMED).unlink(missing_ok=True)


@contextmanager
def kept_spool(path: Path) -> Iterator[Spool]:
    """Open an upload that was kept.

    Raises:
        FileNotFoundError: it is gone.
    """
    descriptor = os.open(path, files.READ_FILE)
    try:
        yield Spool(descriptor, os.fstat(descriptor).st_size, path)
    finally:
        os.close(descriptor)


def _new_file(folder: Path) -> tuple[int, Path]:
    """Open a new file without a name; with one where the file system knows no other."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        path = folder / NAMED
        return os.open(path, NEW_NAMED, 0o600), path
    return descriptor, Path(f"/proc/self/fd/{descriptor}")
