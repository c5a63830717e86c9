"""Tar archives that lie, confuse or explode, and uploads that are no archive."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator

from tests.archives.cases import HostileCase
from tests.archives.tar_maker import (
    BLOCK,
    END,
    gz,
    header,
    long_name,
    make_tar,
    member,
    padded,
    pax,
    pax_record,
    simple_tar,
)

INDEX = member()
GOOD = simple_tar({"index.html": b"<h1>hello</h1>", "other.html": b"other" * 200})


def _case(name: str, rule: str, data: bytes) -> HostileCase:
    return HostileCase(f"tar-{name}", lambda: data, rule)


def _kinds() -> Iterator[HostileCase]:
    for label, kind, rule in (
        ("hard-link", b"1", "link"),
        ("symlink", b"2", "link"),
        ("gnu-long-link", b"K", "link"),
        ("character-device", b"3", "special_file"),
        ("block-device", b"4", "special_file"),
        ("fifo", b"6", "special_file"),
        ("sparse", b"S", "sparse_file"),
        ("contiguous", b"7", "unknown_type"),
        ("gnu-dump-folder", b"D", "unknown_type"),
        ("gnu-multi-volume", b"M", "unknown_type"),
        ("gnu-volume", b"V", "unknown_type"),
        ("solaris-pax", b"X", "unknown_type"),
        ("unknown", b"Z", "unknown_type"),
    ):
        entry = header(b"evil", kind=kind, link=b"/etc/passwd")
        yield _case(label, rule, make_tar(INDEX, entry))
    escape = [header(b"x", kind=b"2", link=b".."), member(b"x/evil.html")]
    yield _case("write-through-link", "link", make_tar(INDEX, *escape))
    chain = [header(b"d" * 99 + b"/l%d" % n, kind=b"2", link=b"d" * 99) for n in range(16)]
    yield _case("link-chain", "link", make_tar(INDEX, *chain))
    yield _case("folder-with-data", "type_mismatch", make_tar(member(b"a", b"data", kind=b"5")))
    yield _case("file-with-slash", "type_mismatch", make_tar(member(b"a/", b"data")))
    yield _case("old-folder-with-data", "type_mismatch", make_tar(member(b"a/", b"x", kind=b"\0")))
    yield _case("top-as-file", "empty_name", make_tar(member(b"", b"data"), INDEX))


def _structure() -> Iterator[HostileCase]:
    yield _case("no-end", "end_missing", make_tar(INDEX, end=b""))
    yield _case("half-end", "end_missing", make_tar(INDEX, end=bytes(BLOCK)))
    yield _case("end-then-entry", "end_missing", make_tar(INDEX, bytes(BLOCK), member(b"b")))
    yield _case("data-after-end", "trailing_data", GOOD + member(b"hidden.html") + END)
    yield _case("junk-after-end", "trailing_data", GOOD + b"junk")
    yield _case("endless-padding", "trailing_data", GOOD + bytes(2 * 1024 * 1024))
    yield _case("zip-after-end", "trailing_data", GOOD + b"PK\5\6" + bytes(18))
    wrong = header(b"b.html", checksum=b"000001\0 ")
    yield _case("bad-checksum-midway", "bad_header", make_tar(INDEX, wrong, member(b"c.html")))
    yield _case("bad-checksum-first", "unknown_format", make_tar(wrong))
    yield _case("blank-checksum", "bad_header", make_tar(INDEX, header(b"b", checksum=b" " * 8)))
    yield _case("noise-midway", "bad_header", make_tar(INDEX, b"\xa5" * BLOCK))
    yield _case("bad-magic", "bad_header", make_tar(INDEX, header(b"b", magic=b"ustar\x0099")))
    for label, magic in (("gnu", b"ustar  \0"), ("v7", bytes(8))):
        entry = member(b"b.html", prefix=b"a", magic=magic)
        yield _case(f"prefix-in-{label}", "bad_header", make_tar(entry))
    for cut in (BLOCK + 5, 2 * BLOCK, 2 * BLOCK + 100, 3 * BLOCK + 9, len(GOOD) - 2 * BLOCK):
        rule = "end_missing" if cut in (2 * BLOCK, len(GOOD) - 2 * BLOCK) else "truncated"
        yield _case(f"cut-at-{cut}", rule, GOOD[:cut])
    for label, size in (
        ("negative-base-256", b"\xff" * 12),
        ("minus-octal", b"-0000000001"),
        ("letters", b"0000000000x"),
        ("digit-eight", b"00000000008"),
        ("inner-blank", b"0000 000001"),
    ):
        data = make_tar(INDEX, header(b"evil", size=size))
        yield _case(f"size-{label}", "bad_number", data)
    for label, size in (
        ("8-exbibytes", b"\x80\0\0\0\x7f" + b"\xff" * 7),
        ("beyond-64-bits", b"\x80" + b"\xff" * 11),
        ("8-gibibytes", b"77777777777"),
    ):
        yield _case(f"size-{label}", "MAX_FILE_BYTES", make_tar(INDEX, header(b"evil", size=size)))
    yield _case("size-beyond-end", "truncated", make_tar(INDEX, header(b"evil", size=100_000)))
    yield _case("empty", "no_files", END)
    yield _case("empty-padded", "no_files", bytes(20 * BLOCK))
    yield _case("only-folders", "no_files", make_tar(header(b"a/", kind=b"5")))
    yield _case("only-top", "no_files", make_tar(header(b"./", kind=b"5")))


def _extended() -> Iterator[HostileCase]:
    def with_pax(records: dict[str, str] | bytes, kind: bytes = b"x") -> bytes:
        return make_tar(pax(records, kind=kind), INDEX)

    bad = "bad_extra_field"
    for label, records in (
        ("no-length", b"path=x\n"),
        ("length-zero", b"0 path=x\n"),
        ("length-short", b"5 path=x\n"),
        ("length-long", b"99 path=x\n"),
        ("length-huge", b"9" * 30 + b" path=x\n"),
        ("length-negative", b"-9 path=x\n"),
        ("no-newline", b"10 path=ab"),
        ("no-equals", b"7 path\n"),
        ("no-key", b"5 =x\n"),
        ("noise", b"\xff" * 40),
        ("path-twice", pax_record("path", "a") + pax_record("path", "b")),
        ("path-empty", pax_record("path", "")),
        ("size-empty", pax_record("size", "")),
    ):
        yield _case(f"pax-{label}", bad, with_pax(records))
    yield _case("pax-size-lie", "size_mismatch", with_pax({"size": "5"}))
    yield _case("pax-size-huge", "size_mismatch", with_pax({"size": "9223372036854775807"}))
    yield _case("pax-size-negative", "bad_number", with_pax({"size": "-1"}))
    yield _case("pax-size-fraction", "bad_number", with_pax({"size": "1.5"}))
    yield _case("pax-linkpath", "link", with_pax({"linkpath": "/etc/passwd"}))
    yield _case("pax-charset", "not_utf8", with_pax({"hdrcharset": "ISO-8859-1"}))
    for key in ("GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.realsize", "GNU.sparse.name"):
        yield _case(f"pax-{key}", "sparse_file", with_pax({key: "1099511627776"}))
    yield _case("global-path", bad, with_pax({"path": "a"}, b"g"))
    yield _case("global-size", bad, with_pax({"size": "1"}, b"g"))
    yield _case("global-sparse", "sparse_file", with_pax({"GNU.sparse.major": "1"}, b"g"))
    yield _case("pax-without-entry", bad, make_tar(INDEX, pax({"path": "a"})))
    yield _case("pax-twice", bad, make_tar(pax({"path": "a"}), pax({"path": "b"}), INDEX))
    yield _case("long-name-twice", bad, make_tar(long_name(b"a"), long_name(b"b"), INDEX))
    yield _case("pax-and-long-name", bad, make_tar(pax({"path": "a"}), long_name(b"b"), INDEX))
    yield _case("global-between", bad,
        make_tar(pax({"path": "a"}), pax({"comment": "c"}, kind=b"g"), INDEX))  # fmt: skip
    yield _case("pax-large", bad, with_pax({"comment": "x" * 100_000}))
    yield _case("pax-size-of-header", bad,
        make_tar(header(b"pax", kind=b"x", size=b"\x80" + b"\x7f" * 11), INDEX))  # fmt: skip
    yield _case("pax-cut", "truncated", make_tar(header(b"pax", kind=b"x", size=4000), end=b""))
    many = pax({"comment": "c"}, kind=b"g") * 1_001
    yield _case("global-endless", bad, make_tar(many, INDEX))


def _gzip() -> Iterator[HostileCase]:
    packed = gz(GOOD)
    yield _case("gz-bad-checksum", "bad_compression", packed[:-8] + b"\1\2\3\4" + packed[-4:])
    yield _case("gz-bad-length", "bad_compression", packed[:-4] + b"\1\2\3\4")
    yield _case("gz-cut-trailer", "truncated", packed[:-4])
    yield _case("gz-cut", "truncated", packed[: len(packed) // 2])
    yield _case("gz-noise", "bad_compression", packed[:40] + b"\xff" * 40 + packed[80:])
    yield _case("gz-trailing", "trailing_data", packed + b"junk")
    yield _case("gz-trailing-zeros", "trailing_data", packed + bytes(64))
    yield _case("gz-trailing-zip", "trailing_data", packed + b"PK\5\6" + bytes(18))
    yield _case("gz-second-archive", "trailing_data", packed + packed)
    yield _case("gz-second-member-broken", "bad_compression", packed + packed[:2] + b"\0" * 20)
    yield _case("gz-of-nothing", "unknown_format", gz(b""))
    yield _case("gz-of-html", "unknown_format", gz(b"<html></html>" * 100))
    yield _case("gz-twice", "unknown_format", gz(packed))
    yield _case("gz-header-only", "truncated", packed[:10])
    yield _case("gz-no-end", "end_missing", gz(make_tar(INDEX, end=b"")))
    bomb = gzip.compress(
        header(b"bomb", size=b"\x80".ljust(8, b"\0") + b"\7\0\0\0") + bytes(8 * 1024 * 1024), 9
    )
    yield _case("gz-bomb-one-file", "MAX_FILE_BYTES", bomb)
    yield _case("gz-bomb-padding", "trailing_data", gz(GOOD + bytes(8 * 1024 * 1024)))
    many = b"".join(padded(header(b"f%d" % number)) for number in range(101))
    yield _case("gz-many-files", "MAX_RELEASE_FILES", gz(make_tar(many)))
    folders = b"".join(header(b"d%d/" % number, kind=b"5") for number in range(600))
    yield _case("gz-many-folders", "MAX_RELEASE_FILES", gz(make_tar(folders)))
    total = b"".join(member(b"f%d" % number, bytes(900_000)) for number in range(10))
    yield _case("gz-bomb-total", "MAX_RELEASE_BYTES", gz(make_tar(total)))
    yield _case("deep", "MAX_PATH_DEPTH", make_tar(member(b"d/" * 40 + b"f")))


def _no_archives() -> Iterator[HostileCase]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w"):
        pass
    for label, data, rule in (
        ("nothing", b"", "empty_upload"),
        ("html", b"<!doctype html><title>hello</title>" * 50, "unknown_format"),
        ("json", b'{"files": []}', "unknown_format"),
        ("noise", bytes(range(256)) * 8, "unknown_format"),
        ("rar", b"Rar!\x1a\x07\x01\0" + bytes(600), "unknown_format"),
        ("7z", b"7z\xbc\xaf\x27\x1c" + bytes(600), "unknown_format"),
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(600), "unknown_format"),
        ("bz2", bz2.compress(GOOD), "unknown_format"),
        ("xz", lzma.compress(GOOD), "unknown_format"),
        ("one-byte", b"P", "unknown_format"),
        ("short-zeros", bytes(100), "unknown_format"),
        ("self-extracting", b"MZ" + bytes(100) + b"PK\3\4", "unknown_format"),
        ("empty-by-tarfile", plain.getvalue(), "no_files"),
        ("upload-too-large", b"PK\3\4" + bytes(9 * 1024 * 1024), "MAX_UPLOAD_BYTES"),
    ):
        yield HostileCase(f"upload-{label}", lambda data=data: data, rule)  # type: ignore[misc]


def hostile_tars() -> Iterator[HostileCase]:
    """Yield every tar, and everything that is no archive, that must be refused."""
    for group in (_kinds, _structure, _extended, _gzip, _no_archives):
        yield from group()
