"""The 512-byte blocks of a tar archive: numbers, checksums and extended headers."""

import re
from dataclasses import dataclass

from storage.errors import ArchiveRefusedError
from storage.rules import ArchiveRule

BLOCK = 512
ZEROS = bytes(BLOCK)

_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_USTAR = b"ustar\x0000"
_GNU = b"ustar  \x00"
_PRE_POSIX = bytes(8)
_RECORD_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")
_CHARSETS = {b"ISO-IR 10646 2000 UTF-8", b"BINARY"}


@dataclass(frozen=True, slots=True)
class TarHeader:
    """What one header block says; the size is checked, the name is not."""

    name: bytes
    kind: bytes
    size_bytes: int


def is_tar_header(block: bytes) -> bool:
    """Tell whether the block is a header of a kind that is read here."""
    return (
        len(block) == BLOCK
        and block[257:265] in (_USTAR, _GNU, _PRE_POSIX)
        and _OCTAL.fullmatch(block[148:156]) is not None
        and _number(block[148:156], b"") == sum(block) - sum(block[148:156]) + 8 * 0x20
    )


def parsed_header(block: bytes) -> TarHeader:
    """Read one header block.

    Raises:
        ArchiveRefusedError: magic, checksum, name or size are not those of a tar header.
    """
    name = _text(block[:100])
    if len(block) < BLOCK:
        raise ArchiveRefusedError(ArchiveRule.TRUNCATED)
    if not is_tar_header(block):
        raise ArchiveRefusedError(ArchiveRule.BAD_HEADER, name)
    if block[345]:
        if block[257:265] != _USTAR:
            # Readers disagree on whether this is a part of the name.
            raise ArchiveRefusedError(ArchiveRule.BAD_HEADER, name)
        name = _checked_text(block[345:500]) + b"/" + name
    _checked_text(block[:100])
    return TarHeader(name, block[156:157], _number(block[124:136], name))


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _checked_text(field: bytes) -> bytes:
    text, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise ArchiveRefusedError(ArchiveRule.NUL_IN_NAME, field.rstrip(b"\0"))
    return text


def _number(field: bytes, name: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ArchiveRefusedError(ArchiveRule.BAD_NUMBER, name)
    return int(match[1] or b"0", 8)


def pax_records(data: bytes) -> dict[str, bytes]:
    """Read the records of a pax header.

    Raises:
        ArchiveRefusedError: a record is malformed, empty or given twice.
    """
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        match = _RECORD_LENGTH.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or end > len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD)
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        name = key.decode("utf-8", "backslashreplace")
        if not key or not equals or name in records:
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD)
        records[name] = value
        position = end
    return records


def check_pax_keys(records: dict[str, bytes], *, is_global: bool) -> None:
    """Refuse records that would change what an entry is; times, owners and comments pass."""
    for key, value in records.items():
        if key.startswith("GNU.sparse."):
            raise ArchiveRefusedError(ArchiveRule.SPARSE_FILE)
        if key == "linkpath":
            raise ArchiveRefusedError(ArchiveRule.LINK)
        if key == "hdrcharset" and value not in _CHARSETS:
            raise ArchiveRefusedError(ArchiveRule.NOT_UTF8)
        if key in ("path", "size") and (is_global or not value):
            raise ArchiveRefusedError(ArchiveRule.BAD_EXTRA_FIELD)


def pax_size(value: bytes) -> int:
    """Return the size a pax header states."""
    if not re.fullmatch(rb"[0-9]{1,19}", value):
        raise ArchiveRefusedError(ArchiveRule.BAD_NUMBER)
    return int(value)
