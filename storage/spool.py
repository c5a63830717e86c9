"""An upload on its way in, kept in a file without a name so that a crash leaves nothing."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.errors import LimitReachedError
from storage.files import CHUNK_BYTES


class Readable(Protocol):
    """All that is asked of an incoming stream."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Spool:
    """A received upload: bytes that can be read at any position, by any thread."""

    descriptor: int
    size_bytes: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end."""
        data = os.pread(self.descriptor, count, offset)
        while len(data) < count:
            more = os.pread(self.descriptor, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


@contextmanager
def spooled(stream: Readable, *, folder: Path, max_bytes: int) -> Iterator[Spool]:
    """Receive the whole stream, at most `max_bytes`, and forget it afterwards."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        size = 0
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                raise LimitReachedError(setting="MAX_UPLOAD_BYTES", limit=max_bytes)
            file.write(chunk)
        yield Spool(file.fileno(), size)
