"""A strict reader of zip archives: every byte belongs to exactly one record."""

import stat
import struct
import zlib
from collections.abc import Iterator

from storage.errors import ArchiveRefusedError, LimitReachedError
from storage.files import CHUNK_BYTES
from storage.inventory import ArchiveEntry, Inventory
from storage.names import parsed_name
from storage.rules import ArchiveRule
from storage.spool import Spool
from storage.zip_records import (
    CENTRAL,
    FULL_16,
    FULL_32,
    LOCAL,
    ZipEntry,
    central_entry,
    find_directory,
    local_entry,
)

SMALL_BYTES = 1024 * 1024

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_KNOWN_FLAGS = 0x0006 | _DESCRIPTOR | 0x0800
_STORED = 0
_DEFLATED = 8
_FOLDER_ATTRIBUTE = 0x10
_KINDS = {
    stat.S_IFLNK: ArchiveRule.LINK,
    stat.S_IFCHR: ArchiveRule.SPECIAL_FILE,
    stat.S_IFBLK: ArchiveRule.SPECIAL_FILE,
    stat.S_IFIFO: ArchiveRule.SPECIAL_FILE,
    stat.S_IFSOCK: ArchiveRule.SPECIAL_FILE,
}
_HEADER_GUESS_BYTES = 512


class ZipReader:
    """Reads and compares all headers when made; `contents` inflates.

    The archive must be tiled by its records: entries in any order of the directory, but
    without gap, overlap, prefix or rest. So there is one way to read it.
    """

    def __init__(self, spool: Spool, inventory: Inventory) -> None:
        self._spool = spool
        self._inventory = inventory
        directory = find_directory(spool)
        self._refuse_too_many(directory.entries)
        if directory.size_bytes > directory.entries * (CENTRAL.size + 3 * FULL_16):
            raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
        self._entries = list(self._central_entries(directory.offset, directory.size_bytes))
        if len(self._entries) != directory.entries:
            raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
        self._data_offsets = [0] * len(self._entries)
        self._check_tiling(directory.offset)

    def _refuse_too_many(self, count: int) -> None:
        if count > self._inventory.max_entries:
            limit = self._inventory.limits.max_files
            raise LimitReachedError(setting="MAX_RELEASE_FILES", limit=limit, actual=count)

    def _central_entries(self, offset: int, size: int) -> Iterator[ZipEntry]:
        """Read the directory piece by piece: with comments it may be large."""
        end = offset + size
        index = 0
        data, start, position = b"", offset, 0
        while start + position < end:
            is_short = len(data) - position < CENTRAL.size + 3 * FULL_16
            if is_short and start + len(data) < end:
                start, position = start + position, 0
                data = self._spool.read_at(start, min(end - start, SMALL_BYTES))
            entry = central_entry(data, position)
            position += entry.header_bytes
            self._add(entry, index)
            index += 1
            yield entry

    def _add(self, entry: ZipEntry, index: int) -> None:
        name = entry.name
        if entry.flags & _ENCRYPTED:
            raise ArchiveRefusedError(ArchiveRule.ENCRYPTED, name)
        if entry.flags & ~_KNOWN_FLAGS:
            raise ArchiveRefusedError(ArchiveRule.UNSUPPORTED_FLAG, name)
        if entry.method not in (_STORED, _DEFLATED):
            raise ArchiveRefusedError(ArchiveRule.UNSUPPORTED_METHOD, name)
        if entry.method == _STORED and entry.compressed_bytes != entry.size_bytes:
            raise ArchiveRefusedError(ArchiveRule.SIZE_MISMATCH, name)
        path, is_folder = parsed_name(name)
        _check_kind(entry, is_folder=is_folder)
        self._inventory.add(ArchiveEntry(path, is_folder, entry.size_bytes, index))

    def _check_tiling(self, directory_offset: int) -> None:
        order = sorted(range(len(self._entries)), key=lambda index: self._entries[index].offset)
        ends = [*(self._entries[index].offset for index in order[1:]), directory_offset]
        expected = 0
        for index, end in zip(order, ends, strict=False):
            entry = self._entries[index]
            if entry.offset != expected:
                raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE, entry.name)
            self._check_entry(index, entry, end)
            expected = end
        if expected != directory_offset:
            raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)

    def _check_entry(self, index: int, entry: ZipEntry, end: int) -> None:
        local = self._local_entry(entry, end)
        _check_agreement(entry, local)
        data_offset = entry.offset + local.header_bytes
        self._data_offsets[index] = data_offset
        rest = end - data_offset - entry.compressed_bytes
        if rest < 0 or rest > 24 or (rest and not entry.flags & _DESCRIPTOR):
            raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE, entry.name)
        if entry.flags & _DESCRIPTOR:
            descriptor = self._spool.read_at(end - rest, rest)
            if descriptor not in _descriptors(entry):
                raise ArchiveRefusedError(ArchiveRule.HEADER_MISMATCH, entry.name)

    def _local_entry(self, entry: ZipEntry, end: int) -> ZipEntry:
        room = end - entry.offset
        data = self._spool.read_at(entry.offset, min(room, _HEADER_GUESS_BYTES))
        if len(data) >= LOCAL.size:
            name_size, extra_size = struct.unpack_from("<2H", data, 26)
            wanted = LOCAL.size + name_size + extra_size
            if len(data) < wanted <= room:
                data = self._spool.read_at(entry.offset, wanted)
        return local_entry(data, entry.name)

    def contents(self) -> Iterator[tuple[ArchiveEntry, Iterator[bytes]]]:
        """Yield each file with its chunks, which are complete or end in an error."""
        folders = len(self._entries) - len(self._inventory.files)
        if folders:
            self._check_folders()
        for entry in self._inventory.files:
            is_small = self._entries[entry.position].compressed_bytes <= SMALL_BYTES
            if is_small and entry.size_bytes <= SMALL_BYTES:
                yield entry, iter((self._whole(entry.position),))
            else:
                yield entry, self._chunks(entry.position)

    def _check_folders(self) -> None:
        files = {entry.position for entry in self._inventory.files}
        for index in range(len(self._entries)):
            if index not in files:
                for _ in self._chunks(index):
                    pass

    def _whole(self, index: int) -> bytes:
        """Return a small file at once, which is most of them and twice as fast."""
        entry = self._entries[index]
        data = self._spool.read_at(self._data_offsets[index], entry.compressed_bytes)
        if entry.method == _DEFLATED:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                data = inflater.decompress(data, entry.size_bytes + 1)
            except zlib.error as error:
                raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION, entry.name) from error
            if len(data) <= entry.size_bytes and (not inflater.eof or inflater.unused_data):
                raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION, entry.name)
        _check_outcome(entry, len(data), zlib.crc32(data))
        return data

    def _chunks(self, index: int) -> Iterator[bytes]:
        entry = self._entries[index]
        checksum = size = 0
        raw = self._raw_chunks(self._data_offsets[index], entry.compressed_bytes)
        for chunk in raw if entry.method == _STORED else _inflated(raw, entry):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            if size > entry.size_bytes:
                raise ArchiveRefusedError(ArchiveRule.SIZE_MISMATCH, entry.name)
            yield chunk
        _check_outcome(entry, size, checksum)

    def _raw_chunks(self, offset: int, size: int) -> Iterator[bytes]:
        while size > 0:
            chunk = self._spool.read_at(offset, min(size, CHUNK_BYTES))
            if not chunk:
                raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
            offset += len(chunk)
            size -= len(chunk)
            yield chunk


def _check_kind(entry: ZipEntry, *, is_folder: bool) -> None:
    kind = stat.S_IFMT(entry.attributes >> 16)
    if kind in _KINDS:
        raise ArchiveRefusedError(_KINDS[kind], entry.name)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveRefusedError(ArchiveRule.UNKNOWN_TYPE, entry.name)
    marked_folder = kind == stat.S_IFDIR or bool(entry.attributes & _FOLDER_ATTRIBUTE)
    if (marked_folder and not is_folder) or (is_folder and kind == stat.S_IFREG):
        raise ArchiveRefusedError(ArchiveRule.TYPE_MISMATCH, entry.name)
    if is_folder and entry.size_bytes:
        raise ArchiveRefusedError(ArchiveRule.TYPE_MISMATCH, entry.name)


def _check_agreement(central: ZipEntry, local: ZipEntry) -> None:
    """Compare the two headers; before a data descriptor zeros stand for "not known yet"."""
    pairs = (
        (local.crc, central.crc),
        (local.compressed_bytes, central.compressed_bytes),
        (local.size_bytes, central.size_bytes),
    )
    unknown = (0, FULL_32) if central.flags & _DESCRIPTOR else ()
    agree = all(stated == right or stated in unknown for stated, right in pairs)
    if not agree or local.flags != central.flags or local.method != central.method:
        raise ArchiveRefusedError(ArchiveRule.HEADER_MISMATCH, central.name)


def _descriptors(entry: ZipEntry) -> list[bytes]:
    """Return the spellings in use: with or without signature, short or zip64 sizes."""
    numbers = (entry.crc, entry.compressed_bytes, entry.size_bytes)
    layouts = ["<L2Q"]
    if max(numbers) <= FULL_32:
        layouts.append("<3L")
    plain = [struct.pack(layout, *numbers) for layout in layouts]
    return [*plain, *(b"PK\7\x08" + descriptor for descriptor in plain)]


def _check_outcome(entry: ZipEntry, size: int, checksum: int) -> None:
    if size != entry.size_bytes:
        raise ArchiveRefusedError(ArchiveRule.SIZE_MISMATCH, entry.name)
    if checksum != entry.crc:
        raise ArchiveRefusedError(ArchiveRule.CHECKSUM_MISMATCH, entry.name)


def _inflated(raw: Iterator[bytes], entry: ZipEntry) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for data in raw:
            yield inflater.decompress(data, SMALL_BYTES)
            while inflater.unconsumed_tail:
                yield inflater.decompress(inflater.unconsumed_tail, SMALL_BYTES)
            if inflater.unused_data:
                break
        # All input may be read while the last bytes still wait to be written.
        yield inflater.flush()
    except zlib.error as error:
        raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION, entry.name) from error
    if not inflater.eof or inflater.unused_data or next(raw, b""):
        raise ArchiveRefusedError(ArchiveRule.BAD_COMPRESSION, entry.name)
