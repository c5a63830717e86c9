"""Write tar archives block by block, with every field open to lies."""

import gzip

BLOCK = 512
END = bytes(2 * BLOCK)


def octal(number: int, width: int) -> bytes:
    return f"{number:0{width - 1}o}".encode() + b"\0"


def header(
    name: bytes = b"index.html",
    *,
    size: int | bytes = 0,
    kind: bytes = b"0",
    link: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    mode: bytes = b"0000644\0",
    checksum: bytes | None = None,
) -> bytes:
    """Return one header block; a size given as bytes is taken as it is."""
    stated = octal(size, 12) if isinstance(size, int) else size.ljust(12, b"\0")
    block = (
        name[:100].ljust(100, b"\0")
        + mode
        + octal(0, 8) * 2
        + stated
        + octal(0, 12)
        + b" " * 8
        + kind
        + link[:100].ljust(100, b"\0")
        + magic
        + bytes(32 + 32)
        + octal(0, 8) * 2
        + prefix[:155].ljust(155, b"\0")
    ).ljust(BLOCK, b"\0")
    right = f"{sum(block):06o}".encode() + b"\0 "
    return block[:148] + (right if checksum is None else checksum) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes = b"index.html", data: bytes = b"<h1>hello</h1>", **fields: object) -> bytes:
    """Return a header with its data."""
    fields.setdefault("size", len(data))
    return header(name, **fields) + padded(data)  # type: ignore[arg-type]


def pax(records: dict[str, str] | bytes, *, kind: bytes = b"x") -> bytes:
    """Return an extended header; records given as bytes are taken as they are."""
    if isinstance(records, bytes):
        data = records
    else:
        data = b"".join(pax_record(key, value) for key, value in records.items())
    return member(b"pax_header", data, kind=kind)


def pax_record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def long_name(name: bytes) -> bytes:
    """Return the GNU record for a long name."""
    return member(b"././@LongLink", name + b"\0", kind=b"L", magic=b"ustar  \0")


def make_tar(*blocks: bytes, end: bytes = END) -> bytes:
    return b"".join(blocks) + end


def simple_tar(files: dict[str, bytes]) -> bytes:
    """Return an honest tar of these files."""
    return make_tar(*(member(name.encode(), data) for name, data in files.items()))


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)
