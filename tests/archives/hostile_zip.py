"""Zip archives that lie, confuse or explode."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from tests.archives.cases import HostileCase
from tests.archives.zip_maker import (
    FULL_16,
    FULL_32,
    ZipEnd,
    ZipPart,
    deflate,
    end64,
    make_zip,
    simple_zip,
    streamed,
)

INDEX = ZipPart()
OTHER = ZipPart(b"other.html", b"other")
GOOD = make_zip(INDEX, OTHER)


def _part(name: str, rule: str, part: ZipPart) -> HostileCase:
    return HostileCase(f"zip-{name}", lambda: make_zip(INDEX, part), rule)


def _bytes(name: str, rule: str, data: bytes) -> HostileCase:
    return HostileCase(f"zip-{name}", lambda: data, rule)


def _kinds() -> Iterator[HostileCase]:
    for label, mode, rule in (
        ("symlink", 0o120777, "link"),
        ("symlink-setuid", 0o124777, "link"),
        ("character-device", 0o020666, "special_file"),
        ("block-device", 0o060666, "special_file"),
        ("fifo", 0o010644, "special_file"),
        ("socket", 0o140755, "special_file"),
        ("whiteout", 0o160000, "unknown_type"),
    ):
        yield _part(label, rule, replace(OTHER, attributes=mode << 16))
    as_dos = replace(OTHER, attributes=0o120777 << 16, made_by=20)
    yield _part("symlink-from-dos", "link", as_dos)
    yield _part("folder-without-slash", "type_mismatch", replace(OTHER, attributes=0o040755 << 16))
    yield _part("dos-folder-without-slash", "type_mismatch", replace(OTHER, attributes=0x10))
    yield _part("file-with-slash", "type_mismatch", replace(OTHER, name=b"other/"))
    with_data = ZipPart(b"folder/", b"data", method=0, attributes=0o040755 << 16)
    yield _part("folder-with-data", "type_mismatch", with_data)
    bad_crc = ZipPart(b"folder/", b"", method=0, attributes=0o040755 << 16, crc=7)
    yield _part("folder-with-checksum", "checksum_mismatch", bad_crc)


def _contents() -> Iterator[HostileCase]:
    yield _part("encrypted", "encrypted", replace(OTHER, flags=1))
    yield _part("strongly-encrypted", "encrypted", replace(OTHER, flags=0x41))
    yield _part("masked-headers", "encrypted", replace(OTHER, flags=0x2000))
    yield _part("aes", "unsupported_method", replace(OTHER, method=99, raw=b"x" * 5))
    yield _part("patched-data", "unsupported_flag", replace(OTHER, flags=0x20))
    yield _part("reserved-flag", "unsupported_flag", replace(OTHER, flags=0x8000))
    for method in (1, 6, 9, 12, 14, 93, 95, 98):
        part = replace(OTHER, method=method, raw=b"BZh9data")
        yield _part(f"method-{method}", "unsupported_method", part)
    yield _part("bad-checksum", "checksum_mismatch", replace(OTHER, crc=1))
    yield _part("bad-checksum-stored", "checksum_mismatch", replace(OTHER, method=0, crc=1))
    yield _part("size-too-small", "size_mismatch", replace(OTHER, size=3))
    yield _part("size-too-large", "size_mismatch", replace(OTHER, size=300))
    zero = replace(OTHER, data=b"x" * 5000, size=0, crc=0)
    yield _part("size-zero", "size_mismatch", zero)
    yield _part("stored-size-lie", "size_mismatch", replace(OTHER, method=0, size=3))
    yield _part("noise-in-deflate", "bad_compression", replace(OTHER, raw=b"\xff" * 20))
    yield _part("deflate-cut", "bad_compression", replace(OTHER, raw=deflate(b"other")[:-2]))
    yield _part("deflate-and-more", "bad_compression", replace(OTHER, raw=deflate(b"other") + b"x"))
    hidden = deflate(b"other") + deflate(b"hidden")
    yield _part("deflate-twice", "bad_compression", replace(OTHER, raw=hidden))
    yield _part("zlib-not-raw", "bad_compression", replace(OTHER, raw=zlib.compress(b"other")))


def _headers() -> Iterator[HostileCase]:
    yield _part("other-local-name", "header_mismatch", replace(OTHER, local_name=b"evil.shtml"))
    yield _part("shorter-local-name", "header_mismatch", replace(OTHER, local_name=b"other"))
    yield _part("other-local-method", "header_mismatch", replace(OTHER, local_method=0))
    yield _part("other-local-flags", "header_mismatch", replace(OTHER, local_flags=0x800))
    yield _part("local-says-encrypted", "header_mismatch", replace(OTHER, local_flags=1))
    yield _part("other-local-checksum", "header_mismatch", replace(OTHER, local_crc=1))
    yield _part("other-local-size", "header_mismatch", replace(OTHER, local_size=1))
    yield _part("other-local-compressed", "header_mismatch", replace(OTHER, local_compressed=1))
    part = streamed(OTHER)
    wrong = part.descriptor[:-1] + b"\x7f"
    yield _part("descriptor-lies", "header_mismatch", replace(part, descriptor=wrong))
    yield _part("descriptor-missing", "header_mismatch", replace(part, descriptor=b""))
    yield _part("descriptor-long", "bad_structure", replace(part, descriptor=part.descriptor * 3))
    yield _part("descriptor-unannounced", "bad_structure", replace(part, flags=0, local_flags=0,
        local_crc=None, local_size=None, local_compressed=None))  # fmt: skip
    lies = {"path": b"evil.html", "good": b"other.html"}
    for label, crc, name in (
        ("other", zlib.crc32(b"other.html"), lies["path"]),
        ("stale", 1, lies["good"]),
        ("parent", zlib.crc32(b"other.html"), b"../evil.html"),
    ):
        field = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, crc) + name
        yield _part(f"unicode-path-{label}", "unicode_path_mismatch",
            replace(OTHER, central_extra=field))  # fmt: skip
        yield _part(f"unicode-path-{label}-local", "unicode_path_mismatch",
            replace(OTHER, local_extra=field))  # fmt: skip
    yield _part("extra-too-long", "bad_extra_field", replace(OTHER, central_extra=b"\1\0\xff\0ab"))
    yield _part("extra-cut", "bad_extra_field", replace(OTHER, central_extra=b"ab"))
    twice = struct.pack("<2HQ", 1, 8, 5) * 2
    yield _part("zip64-extra-twice", "bad_extra_field",
        replace(OTHER, size=FULL_32, central_extra=twice))  # fmt: skip
    yield _part("zip64-extra-short", "bad_extra_field",
        replace(OTHER, size=FULL_32, central_extra=struct.pack("<2HL", 1, 4, 5)))  # fmt: skip
    yield _part("zip64-extra-odd", "bad_extra_field",
        replace(OTHER, size=FULL_32, central_extra=struct.pack("<2H7s", 1, 7, b"")))  # fmt: skip
    yield _part("other-disk", "multi_disk", replace(OTHER, disk=1))


def _structure() -> Iterator[HostileCase]:
    hidden = replace(OTHER, name=b"evil.html", hidden=True)
    yield _part("hidden-entry", "bad_structure", hidden)
    yield HostileCase(
        "zip-hidden-first", lambda: make_zip(replace(INDEX, hidden=True), OTHER), "bad_structure"
    )
    yield HostileCase("zip-prefix", lambda: make_zip(INDEX, before=b"PK\3\4junk"), "bad_structure")
    yield _bytes("gap", "bad_structure", make_zip(INDEX, replace(OTHER, before=b"gap")))
    yield _bytes("gap-before-directory", "bad_structure", make_zip(INDEX, between=b"gap"))
    yield _bytes("overlap-full", "bad_structure", make_zip(INDEX, replace(OTHER, offset=0)))
    yield _bytes("overlap-quoted", "bad_structure", _quoted_overlap())
    yield _bytes("offset-beyond", "bad_structure", make_zip(INDEX, replace(OTHER, offset=10**6)))
    yield _bytes("trailing", "trailing_data", GOOD + b"more")
    yield _bytes("trailing-newline", "trailing_data", GOOD + b"\n")
    yield _bytes("twice", "bad_structure", GOOD + GOOD)
    comment = make_zip(ZipPart(b"evil.html"))
    yield _bytes("archive-in-comment", "bad_structure",
        make_zip(INDEX, end=ZipEnd(comment=comment)))  # fmt: skip
    fake_end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)
    yield _bytes("two-ends", "bad_structure", GOOD + fake_end)
    yield _bytes("end-in-comment", "bad_structure", make_zip(INDEX, end=ZipEnd(comment=fake_end)))
    for label, end, rule in (
        ("comment-too-long", ZipEnd(comment_size=5), "trailing_data"),
        ("comment-too-short", ZipEnd(comment=b"comment", comment_size=3), "trailing_data"),
        ("fewer-entries", ZipEnd(entries=1), "bad_structure"),
        ("more-entries", ZipEnd(entries=3), "bad_structure"),
        ("no-entries", ZipEnd(entries=0), "bad_structure"),
        ("entries-disagree", ZipEnd(entries_here=1), "multi_disk"),
        ("second-disk", ZipEnd(disk=1), "multi_disk"),
        ("directory-size", ZipEnd(size=10), "bad_structure"),
        ("directory-size-huge", ZipEnd(size=FULL_32), "bad_structure"),
        ("directory-offset", ZipEnd(offset=10), "bad_structure"),
        ("directory-offset-beyond", ZipEnd(offset=10**9), "bad_structure"),
        ("zip64-without-locator", ZipEnd(entries=FULL_16, offset=FULL_32), "bad_structure"),
    ):
        yield _bytes(f"end-{label}", rule, make_zip(INDEX, OTHER, end=end))
    for cut in (1, 30, 60, len(GOOD) // 2, len(GOOD) - 30, len(GOOD) - 1):
        rule = "unknown_format" if cut < 4 else "truncated"
        yield _bytes(f"cut-at-{cut}", rule, GOOD[:cut])


def _quoted_overlap() -> bytes:
    """Entries that each begin with a stored copy of the next one's header and data."""
    inner = replace(INDEX, name=b"b.html")
    outer = ZipPart(b"a.html", inner.local(), method=0)
    offset = len(outer.local()) - len(inner.local())
    directory = outer.central(0) + inner.central(offset)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(outer.local()), 0)
    return outer.local() + directory + end


def _zip64() -> Iterator[HostileCase]:
    body = INDEX.local()
    directory = INDEX.central(0)
    honest = {
        "entries": 1,
        "size": len(directory),
        "offset": len(body),
        "position": len(body) + len(directory),
    }
    saturated = ZipEnd(entries=FULL_16, size=FULL_32, offset=FULL_32)
    for label, lies, rule in (
        ("locator-before", {"locator": 0}, "bad_structure"),
        ("locator-beyond", {"locator": 10**12}, "bad_structure"),
        ("two-disks", {"disks": 2}, "multi_disk"),
        ("second-disk", {"disk": 1}, "multi_disk"),
        ("entries-disagree", {"total": 2}, "multi_disk"),
        ("more-entries", {"entries": 2}, "bad_structure"),
        ("billions-of-entries", {"entries": 2**40}, "MAX_RELEASE_FILES"),
        ("record-length", {"length": 2**63}, "bad_structure"),
        ("extensible-data", {"length": 64, "padding": 20}, "bad_structure"),
        ("gap-before-locator", {"padding": 8}, "bad_structure"),
        ("other-directory", {"offset": 0}, "bad_structure"),
        ("directory-size", {"size": 2**62}, "bad_structure"),
    ):
        records = end64(**{**honest, **lies})
        yield _bytes(f"zip64-{label}", rule, make_zip(INDEX, end=replace(saturated, zip64=records)))
    contradicting = ZipEnd(entries=2, zip64=end64(**honest))
    yield _bytes("zip64-contradicts", "bad_structure", make_zip(INDEX, end=contradicting))


def _emptiness() -> Iterator[HostileCase]:
    yield _bytes("empty", "no_files", make_zip())
    folders = [ZipPart(name, b"", method=0, attributes=0o040755 << 16) for name in (b"a/", b"b/")]
    yield _bytes("only-folders", "no_files", make_zip(*folders))
    top = ZipPart(b"./", b"", method=0, attributes=0o040755 << 16)
    yield _bytes("only-top", "no_files", make_zip(top))
    yield _bytes("top-as-file", "type_mismatch", make_zip(replace(INDEX, name=b"./")))


def _bombs() -> Iterator[HostileCase]:
    zeros = bytes(4 * 1024 * 1024)
    yield _part("bomb-honest", "MAX_FILE_BYTES", ZipPart(b"bomb", zeros))
    yield _part("bomb-lying", "size_mismatch", ZipPart(b"bomb", zeros, size=10))
    yield HostileCase(
        "zip-bomb-many",
        lambda: make_zip(*(ZipPart(b"bomb%d" % n, bytes(900_000)) for n in range(10))),
        "MAX_RELEASE_BYTES",
    )
    yield HostileCase(
        "zip-many-files",
        lambda: simple_zip({f"f{number}": b"" for number in range(101)}),
        "MAX_RELEASE_FILES",
    )
    yield HostileCase(
        "zip-deep", lambda: make_zip(INDEX, ZipPart(b"d/" * 40 + b"f")), "MAX_PATH_DEPTH"
    )
    claimed = replace(OTHER, size=FULL_32, compressed=FULL_32,
        central_extra=struct.pack("<2H2Q", 1, 16, 2**63, 2**63))  # fmt: skip
    yield _part("exabytes", "MAX_FILE_BYTES", claimed)


def hostile_zips() -> Iterator[HostileCase]:
    """Yield every zip that must be refused."""
    for group in (_kinds, _contents, _headers, _structure, _zip64, _emptiness, _bombs):
        yield from group()
