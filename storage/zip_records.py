"""The records of a zip archive: end records, central directory and local headers."""

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from storage.errors import ArchiveRefusedError
from storage.rules import ArchiveRule
from storage.spool import Spool

END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
FULL_16 = 0xFFFF
FULL_32 = 0xFFFFFFFF

_ZIP64 = 0x0001
_UNICODE_PATH = 0x7075


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies and how many entries it has."""

    offset: int
    size_bytes: int
    entries: int


def find_directory(spool: Spool) -> Directory:
    """Read the end records, which must lie at the very end, one after the other.

    Raises:
        ArchiveRefusedError: there is none, or they leave room for another reading.
    """
    tail_offset = max(0, spool.size_bytes - END.size - FULL_16)
    tail = spool.read_at(tail_offset, spool.size_bytes - tail_offset)
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < END.size:
        raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
    record = END.unpack_from(tail, found)
    _, disk, first_disk, here, total, size, offset, comment = record
    if found + END.size + comment != len(tail):
        raise ArchiveRefusedError(ArchiveRule.TRAILING_DATA)
    if disk or first_disk or here != total:
        raise ArchiveRefusedError(ArchiveRule.MULTI_DISK)
    end = tail_offset + found
    plain = Directory(offset, size, total)
    locator = spool.read_at(end - LOCATOR64.size, LOCATOR64.size) if end >= LOCATOR64.size else b""
    if locator[:4] == b"PK\6\7":
        plain, end = _directory64(spool, plain, locator, end - LOCATOR64.size)
    if plain.offset + plain.size_bytes != end:
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
    return plain


def _directory64(spool: Spool, plain: Directory, locator: bytes, end: int) -> tuple[Directory, int]:
    """Return what the zip64 record says and where it begins; it may not contradict the other."""
    _, disk, position, disks = LOCATOR64.unpack(locator)
    if disk or disks > 1:
        raise ArchiveRefusedError(ArchiveRule.MULTI_DISK)
    data = spool.read_at(position, END64.size) if position + END64.size == end else b""
    if data[:4] != b"PK\6\6":
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
    _, length, _, _, disk, first_disk, here, total, size, offset = END64.unpack(data)
    if disk or first_disk or here != total:
        raise ArchiveRefusedError(ArchiveRule.MULTI_DISK)
    agree = (
        length == END64.size - 12
        and plain.entries in (total, FULL_16)
        and plain.size_bytes in (size, FULL_32)
        and plain.offset in (offset, FULL_32)
    )
    if not agree:
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
    return Directory(offset, size, total), position


class ZipEntry(NamedTuple):
    """An entry as one of its two headers describes it."""

    name: bytes
    flags: int
    method: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    offset: int
    """Of the local header; 0 in a local header itself."""
    attributes: int = 0
    header_bytes: int = 0
    is_zip64: bool = False


def central_entry(data: bytes, position: int) -> ZipEntry:
    """Read one header of the central directory."""
    if data[position : position + 4] != b"PK\1\2" or len(data) - position < CENTRAL.size:
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
    record = CENTRAL.unpack_from(data, position)
    flags, method = record[3:5]
    crc, compressed, size, name_size, extra_size, comment_size, disk = record[7:14]
    _, attributes, offset = record[14:]
    begin = position + CENTRAL.size
    end = begin + name_size + extra_size
    if end + comment_size > len(data):
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE)
    name = data[begin : begin + name_size]
    if disk not in (0, FULL_16):
        raise ArchiveRefusedError(ArchiveRule.MULTI_DISK, name)
    extra = _extra_fields(data[begin + name_size : end], name)
    numbers, is_zip64 = _widened(extra, name, [size, compressed, offset])
    size, compressed, offset = numbers
    length = end + comment_size - position
    return ZipEntry(
        name, flags, method, crc, compressed, size, offset, attributes, length, is_zip64
    )


def local_entry(data: bytes, name_of_central: bytes) -> ZipEntry:
    """Read a local header from bytes that begin with it and hold at least name and extra."""
    if data[:4] != b"PK\3\4" or len(data) < LOCAL.size:
        raise ArchiveRefusedError(ArchiveRule.BAD_STRUCTURE, name_of_central)
    record = LOCAL.unpack_from(data)
    flags, method = record[2:4]
    crc, compressed, size, name_size, extra_size = record[6:]
    length = LOCAL.size + name_size + extra_size
    name = data[LOCAL.size : LOCAL.size + name_size]
    if length > len(data) or name != name_of_central:
        raise ArchiveRefusedError(
            ArchiveRule.HEADER_MISMATCH, name_of_central, other=name.decode("utf-8", "replace")
        )
    extra = _extra_fields(data[LOCAL.size + name_size : length], name)
    (size, compressed), is_zip64 = _widened(extra, name, [size, compressed])
    return ZipEntry(name, flags, method, crc, compressed, size, 0, 0, length, is_zip64)


def _extra_fields(data: bytes, name: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        kind, size = struct.unpack_from("<2H", data.ljust(position + 4, b"\0"), position)
        if kind == size == 0 and not data[position:].strip(b"\0"):
            break  # Padding, as zipalign writes it.
        position += 4 + size
        is_twice = kind in fields and kind in (_ZIP64, _UNICODE_PATH)
        if position > len(data) or is_twice or kind == 0:
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD, name)
        fields[kind] = data[position - size : position]
    _check_unicode_path(fields.get(_UNICODE_PATH), name)
    return fields


def _check_unicode_path(field: bytes | None, name: bytes) -> None:
    if field is None:
        return
    stated = struct.pack("<BL", 1, zlib.crc32(name)) + name
    if field != stated:
        raise ArchiveRefusedError(ArchiveRule.UNICODE_PATH_MISMATCH, name)


def _widened(extra: dict[int, bytes], name: bytes, numbers: list[int]) -> tuple[list[int], bool]:
    """Replace each number that is all ones by its zip64 value, in order."""
    field = extra.get(_ZIP64)
    values = list(numbers)
    if field is None:
        return values, False
    if len(field) % 4:
        raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD, name)
    position = 0
    for index, number in enumerate(numbers):
        if number != FULL_32:
            continue
        if position + 8 > len(field):
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD, name)
        (values[index],) = struct.unpack_from("<Q", field, position)
        position += 8
    return values, True
