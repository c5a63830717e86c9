"""Write zip archives byte by byte, with every field open to lies."""

import struct
import zlib
from dataclasses import dataclass, replace

FULL_16 = 0xFFFF
FULL_32 = 0xFFFFFFFF
REGULAR = 0o100644 << 16
FOLDER = 0o040755 << 16


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True)
class ZipPart:
    """One entry. None means: what an honest writer would write."""

    name: bytes = b"index.html"
    data: bytes = b"<h1>hello</h1>"
    method: int = 8
    flags: int = 0
    attributes: int = REGULAR
    made_by: int = 0x031E
    raw: bytes | None = None
    crc: int | None = None
    size: int | None = None
    compressed: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_crc: int | None = None
    local_size: int | None = None
    local_compressed: int | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    descriptor: bytes = b""
    offset: int | None = None
    disk: int = 0
    before: bytes = b""
    hidden: bool = False
    """Leave the entry out of the central directory."""

    @property
    def packed(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return deflate(self.data) if self.method == 8 else self.data

    @property
    def numbers(self) -> tuple[int, int, int]:
        return (
            zlib.crc32(self.data) if self.crc is None else self.crc,
            len(self.packed) if self.compressed is None else self.compressed,
            len(self.data) if self.size is None else self.size,
        )

    def local(self) -> bytes:
        crc, compressed, size = self.numbers
        name = self.name if self.local_name is None else self.local_name
        header = struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            20,
            self.flags if self.local_flags is None else self.local_flags,
            self.method if self.local_method is None else self.local_method,
            0,
            0x21,
            crc if self.local_crc is None else self.local_crc,
            min(compressed if self.local_compressed is None else self.local_compressed, FULL_32),
            min(size if self.local_size is None else self.local_size, FULL_32),
            len(name),
            len(self.local_extra),
        )
        return self.before + header + name + self.local_extra + self.packed + self.descriptor

    def central(self, offset: int) -> bytes:
        crc, compressed, size = self.numbers
        return (
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\1\2",
                self.made_by,
                20,
                self.flags,
                self.method,
                0,
                0x21,
                crc,
                compressed,
                size,
                len(self.name),
                len(self.central_extra),
                len(self.comment),
                self.disk,
                0,
                self.attributes,
                offset if self.offset is None else self.offset,
            )
            + self.name
            + self.central_extra
            + self.comment
        )


def streamed(part: ZipPart, *, signature: bool = True, wide: bool = False) -> ZipPart:
    """Return the part as a writer makes it that cannot seek back."""
    layout = "<L2Q" if wide else "<3L"
    descriptor = (b"PK\7\x08" if signature else b"") + struct.pack(layout, *part.numbers)
    return replace(
        part,
        flags=part.flags | 8,
        descriptor=descriptor,
        local_crc=0,
        local_size=0,
        local_compressed=0,
    )


@dataclass(frozen=True)
class ZipEnd:
    """The end record. None means honest."""

    entries: int | None = None
    entries_here: int | None = None
    size: int | None = None
    offset: int | None = None
    disk: int = 0
    comment: bytes = b""
    comment_size: int | None = None
    after: bytes = b""
    zip64: bytes | None = None
    """Records to put before the end record; empty for none."""


def end64(*, entries: int, size: int, offset: int, position: int, **lies: int) -> bytes:
    """Return a zip64 end record, which lies at `position`, and its locator."""
    record = struct.pack(
        "<4sQ2H2L4Q",
        b"PK\6\6",
        lies.get("length", 44),
        45,
        45,
        lies.get("disk", 0),
        0,
        entries,
        lies.get("total", entries),
        size,
        offset,
    )
    locator = struct.pack(
        "<4sLQL", b"PK\6\7", 0, lies.get("locator", position), lies.get("disks", 1)
    )
    return record + b"\0" * lies.get("padding", 0) + locator


def make_zip(
    *parts: ZipPart,
    end: ZipEnd | None = None,
    before: bytes = b"",
    between: bytes = b"",
) -> bytes:
    """Put the parts one after the other, then the directory, then the end record."""
    end = end or ZipEnd()
    body = before
    directory = b""
    listed = 0
    for part in parts:
        offset = len(body) + len(part.before)
        body += part.local()
        if not part.hidden:
            directory += part.central(offset)
            listed += 1
    body += between
    entries = listed if end.entries is None else end.entries
    record = struct.pack(
        "<4s4H2LH",
        b"PK\5\6",
        end.disk,
        end.disk,
        entries if end.entries_here is None else end.entries_here,
        entries,
        len(directory) if end.size is None else end.size,
        len(body) if end.offset is None else end.offset,
        len(end.comment) if end.comment_size is None else end.comment_size,
    )
    return body + directory + (end.zip64 or b"") + record + end.comment + end.after


def simple_zip(files: dict[str, bytes]) -> bytes:
    """Return an honest zip of these files."""
    return make_zip(*(ZipPart(name.encode(), data) for name, data in files.items()))
