"""Forward-only reading of an upload, as it is or through gzip, with its checksum verified."""

import zlib
from typing import Protocol

from storage.errors import ArchiveRefusedError
from storage.files import CHUNK_BYTES
from storage.rules import ArchiveRule
from storage.spool import Spool

_GZIP = 16 + zlib.MAX_WBITS
MAX_MEMBERS = 100_000
"""More than a gigabyte has in the small blocks of bgzip; empty ones would never end."""

_COMPRESSED_BYTES = 64 * 1024


class ForwardStream(Protocol):
    """Bytes in order. A short answer means the end."""

    position: int

    def read(self, count: int) -> bytes: ...

    def skip(self, count: int) -> None: ...


class PlainStream:
    """The bytes of the upload themselves."""

    def __init__(self, spool: Spool) -> None:
        self.position = 0
        self._spool = spool

    def read(self, count: int) -> bytes:
        data = self._spool.read_at(self.position, count)
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        """Pass over `count` bytes, which must exist."""
        if self.position + count > self._spool.size_bytes:
            raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
        self.position += count


class GzipStream:
    """The bytes inside a gzip file of one or more members, in constant memory.

    zlib checks length and CRC of each member; whatever follows the last is refused.
    """

    def __init__(self, spool: Spool) -> None:
        self.position = 0
        self._spool = spool
        self._offset = 0
        self._input = b""
        self._buffer = b""
        self._start = 0
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._ended = False

    def read(self, count: int) -> bytes:
        parts = []
        wanted = count
        while wanted > 0 and self._fill():
            part = self._buffer[self._start : self._start + wanted]
            self._start += len(part)
            wanted -= len(part)
            parts.append(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        """Pass over `count` bytes, which must exist."""
        while count > 0:
            passed = len(self.read(min(count, CHUNK_BYTES)))
            if not passed:
                raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
            count -= passed

    def _fill(self) -> bool:
        while self._start == len(self._buffer) and not self._ended:
            if self._member.eof:
                self._next_member()
            else:
                self._inflate()
        return self._start < len(self._buffer)

    def _inflate(self) -> None:
        if not self._input:
            self._input = self._spool.read_at(self._offset, _COMPRESSED_BYTES)
            self._offset += len(self._input)
            if not self._input:
                raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
        try:
            self._buffer = self._member.decompress(self._input, CHUNK_BYTES)
        except zlib.error as error:
            raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION) from error
        self._start = 0
        member = self._member
        self._input = member.unused_data if member.eof else member.unconsumed_tail

    def _next_member(self) -> None:
        if not self._input:
            self._input = self._spool.read_at(self._offset, _COMPRESSED_BYTES)
            self._offset += len(self._input)
        if not self._input:
            self._ended = True
        elif self._input[:1] != b"\x1f":
            raise ArchiveRefusedError(ArchiveRule.TRAILING_DATA)
        elif self._members == MAX_MEMBERS:
            raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION)
        else:
            self._members += 1
            self._member = zlib.decompressobj(_GZIP)
