"""A strict reader of tar and tar.gz: twice over the archive, in constant memory."""

from collections.abc import Callable, Iterator

from storage.errors import ArchiveRefusedError
from storage.files import CHUNK_BYTES
from storage.gzip_stream import ForwardStream
from storage.inventory import ArchiveEntry, Inventory
from storage.names import parsed_name
from storage.rules import ArchiveRule
from storage.tar_headers import (
    BLOCK,
    ZEROS,
    TarHeader,
    check_pax_keys,
    parsed_header,
    pax_records,
    pax_size,
)

MAX_EXTENDED_BYTES = 64 * 1024
MAX_EXTENDED_TOTAL_BYTES = 64 * 1024 * 1024
MAX_PADDING_BYTES = 1024 * 1024
EXTENDED_PER_ENTRY = 2

_FILE_KINDS = (b"0", b"\0")
_FOLDER = b"5"
_REFUSED_KINDS = {
    b"1": ArchiveRule.LINK,
    b"2": ArchiveRule.LINK,
    b"K": ArchiveRule.LINK,
    b"3": ArchiveRule.SPECIAL_FILE,
    b"4": ArchiveRule.SPECIAL_FILE,
    b"6": ArchiveRule.SPECIAL_FILE,
    b"S": ArchiveRule.SPARSE_FILE,
}


class TarReader:
    """Reads all headers to the very end when made; `contents` reads the archive again.

    Args:
        open_stream: starts reading at the first byte.
        inventory: receives every entry and refuses what it must.
    """

    def __init__(self, open_stream: Callable[[], ForwardStream], inventory: Inventory) -> None:
        self._open_stream = open_stream
        self._inventory = inventory
        self._stream = open_stream()
        self._long_name: bytes | None = None
        self._pax: dict[str, bytes] | None = None
        self._extended = 0
        self._extended_bytes = 0
        while (block := self._stream.read(BLOCK)) != ZEROS:
            self._read_entry(block)
        self._read_end()

    def _read_entry(self, block: bytes) -> None:
        if not block:
            raise ArchiveRefusedError(ArchiveRule.END_MISSING)
        header = parsed_header(block)
        if header.kind in b"xgL":
            self._read_extended(header)
            return
        name, size = self._settled(header)
        self._add(header.kind, name, size)
        self._pass(size)

    def _read_extended(self, header: TarHeader) -> None:
        self._extended += 1
        self._extended_bytes += header.size_bytes
        too_many = self._extended > EXTENDED_PER_ENTRY * self._inventory.max_entries
        too_large = self._extended_bytes > MAX_EXTENDED_TOTAL_BYTES
        if too_many or too_large or header.size_bytes > MAX_EXTENDED_BYTES:
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD, header.name)
        if self._pax is not None or self._long_name is not None:
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD, header.name)
        data = self._stream.read(header.size_bytes)
        if len(data) < header.size_bytes:
            raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
        self._stream.skip(-header.size_bytes % BLOCK)
        if header.kind == b"L":
            self._long_name = data.removesuffix(b"\0")
            return
        records = pax_records(data)
        check_pax_keys(records, is_global=header.kind == b"g")
        if header.kind == b"x":
            self._pax = records

    def _settled(self, header: TarHeader) -> tuple[bytes, int]:
        """Return name and size after the extended headers; those are used up."""
        name, size = header.name, header.size_bytes
        if self._long_name is not None:
            name = self._long_name
        if self._pax is not None:
            name = self._pax.get("path", name)
            if "size" in self._pax and pax_size(self._pax["size"]) != size:
                raise ArchiveRefusedError(ArchiveRule.SIZE_MISMATCH, name)
        self._long_name = self._pax = None
        return name, size

    def _add(self, kind: bytes, name: bytes, size: int) -> None:
        if kind in _REFUSED_KINDS:
            raise ArchiveRefusedError(_REFUSED_KINDS[kind], name)
        if kind != _FOLDER and kind not in _FILE_KINDS:
            raise ArchiveRefusedError(ArchiveRule.UNKNOWN_TYPE, name)
        path, named_folder = parsed_name(name)
        # Before POSIX a folder was a file whose name ends with a slash.
        is_folder = kind == _FOLDER or (named_folder and kind == b"\0")
        if (named_folder and not is_folder) or (is_folder and size):
            raise ArchiveRefusedError(ArchiveRule.TYPE_MISMATCH, name)
        self._inventory.add(ArchiveEntry(path, is_folder, size, self._stream.position))

    def _pass(self, size: int) -> None:
        self._stream.skip(size + -size % BLOCK)

    def _read_end(self) -> None:
        if self._pax is not None or self._long_name is not None:
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD)
        if self._stream.read(BLOCK) != ZEROS:
            raise ArchiveRefusedError(ArchiveRule.END_MISSING)
        padding = 0
        while rest := self._stream.read(CHUNK_BYTES):
            padding += len(rest)
            if padding > MAX_PADDING_BYTES or rest.strip(b"\0"):
                raise ArchiveRefusedError(ArchiveRule.TRAILING_DATA)

    def contents(self) -> Iterator[tuple[ArchiveEntry, Iterator[bytes]]]:
        """Yield each file with its chunks; read them before taking the next file."""
        stream = self._open_stream()
        for entry in self._inventory.files:
            stream.skip(entry.position - stream.position)
            yield entry, _chunks(stream, entry.size_bytes)


def _chunks(stream: ForwardStream, size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = stream.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
        size -= len(chunk)
        yield chunk
