"""Odd archives that honest programs write, and what must come out of them."""

import gzip
import io
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.archives.cases import LegalCase
from tests.archives.tar_maker import (
    gz,
    header,
    long_name,
    make_tar,
    member,
    pax,
    simple_tar,
)
from tests.archives.zip_maker import (
    FULL_16,
    FULL_32,
    ZipEnd,
    ZipPart,
    end64,
    make_zip,
    simple_zip,
    streamed,
)

INDEX = {"index.html": b"<h1>hello</h1>"}
SITE = {**INDEX, "css/site.css": b"a{}" * 500, "img/logo.svg": b"<svg/>", "empty.txt": b""}
PART = ZipPart()
LONG = "n" * 250 + ".html"


def _zip_case(name: str, files: dict[str, bytes], *parts: ZipPart, **more: object) -> LegalCase:
    return LegalCase(f"zip-{name}", lambda: make_zip(*parts, **more), files)  # type: ignore[arg-type]


def _zips_by_hand() -> Iterator[LegalCase]:
    other = ZipPart(b"other.html", b"other")
    both = {**INDEX, "other.html": b"other"}
    folder = ZipPart(b"a/", b"", method=0, attributes=0o040755 << 16 | 0x10)
    yield _zip_case("streamed", both, streamed(PART), streamed(other))
    yield _zip_case("streamed-bare", INDEX, streamed(PART, signature=False))
    yield _zip_case("streamed-wide", INDEX, streamed(PART, wide=True))
    yield _zip_case("streamed-wide-bare", INDEX, streamed(PART, wide=True, signature=False))
    yield _zip_case("streamed-stored", INDEX, streamed(replace(PART, method=0)))
    yield _zip_case("mode-000", INDEX, replace(PART, attributes=0o100000 << 16))
    yield _zip_case("no-attributes", INDEX, replace(PART, attributes=0, made_by=20))
    yield _zip_case("setuid", INDEX, replace(PART, attributes=0o106777 << 16))
    yield _zip_case("dot-slash", both, replace(PART, name=b"./index.html"), other)
    yield _zip_case("folders", {"a/b": b"x"}, folder, ZipPart(b"a/b", b"x"))
    yield _zip_case("folder-deflated", INDEX, replace(folder, method=8), PART)
    yield _zip_case("folder-after-file", {"a/b": b"x"}, ZipPart(b"a/b", b"x"), folder)
    yield _zip_case("top-folder", INDEX, replace(folder, name=b"./"), PART)
    yield _zip_case("comment", INDEX, PART, end=ZipEnd(comment=b"c" * 40))
    yield _zip_case("long-comment", INDEX, PART, end=ZipEnd(comment=b"c" * 65_535))
    yield _zip_case("entry-comment", INDEX, replace(PART, comment=b"about this"))
    times = struct.pack("<2HBL", 0x5455, 5, 1, 0)
    yield _zip_case("time-extra", INDEX, replace(PART, local_extra=times, central_extra=times))
    yield _zip_case("padded-extra", INDEX, replace(PART, local_extra=bytes(3)))
    utf8 = ZipPart("straße/ä.html".encode(), b"x", flags=0x800)
    yield _zip_case("utf8-flag", {"straße/ä.html": b"x"}, utf8)
    yield _zip_case("utf8-no-flag", {"straße/ä.html": b"x"}, replace(utf8, flags=0))
    field = struct.pack("<2HBL", 0x7075, 5 + len(utf8.name), 1, zlib.crc32(utf8.name)) + utf8.name
    yield _zip_case("unicode-path", {"straße/ä.html": b"x"}, replace(utf8, central_extra=field))
    yield _zip_case("name-of-255-bytes", {LONG: b"x"}, ZipPart(LONG.encode(), b"x"))
    shuffled = make_zip(PART, other)
    yield LegalCase("zip-directory-in-other-order", lambda: _reordered(shuffled), both)
    yield LegalCase("zip-zip64", _zip64, INDEX)
    nested = simple_zip(SITE)
    yield LegalCase(
        "zip-nested", lambda: make_zip(ZipPart(b"a.zip", nested, method=0)), {"a.zip": nested}
    )


def _reordered(data: bytes) -> bytes:
    """Swap the two headers of the central directory."""
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 1)
    end = data.index(b"PK\5\6")
    return data[:first] + data[second:end] + data[first:second] + data[end:]


def _zip64() -> bytes:
    wide = struct.pack("<2H2Q", 1, 16, len(PART.data), len(PART.packed))
    part = replace(PART, local_size=FULL_32, local_compressed=FULL_32, local_extra=wide)
    size, offset = len(part.central(0)), len(part.local())
    records = end64(entries=1, size=size, offset=offset, position=offset + size)
    return make_zip(part, end=ZipEnd(entries=FULL_16, size=FULL_32, offset=FULL_32, zip64=records))


class _Pipe(io.RawIOBase):
    """A target that cannot seek, so that writers stream."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def _zipfile(method: int, *, seekable: bool = True) -> bytes:
    target: io.BytesIO | _Pipe = io.BytesIO() if seekable else _Pipe()
    with zipfile.ZipFile(target, "w", method) as archive:
        for path, data in SITE.items():
            archive.writestr(path, data)
    return target.getvalue() if isinstance(target, io.BytesIO) else target.data


def _zipfile_forced_zip64() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in SITE.items():
            with archive.open(path, "w", force_zip64=True) as entry:
                entry.write(data)
    return target.getvalue()


def _zipfile_streamed_zip64() -> bytes:
    target = _Pipe()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in SITE.items():
            with archive.open(path, "w", force_zip64=True) as entry:
                entry.write(data)
    return target.data


def _tarfile(format_: int, files: dict[str, bytes] = SITE, mode: int = 0o644) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format_) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime, info.uid = len(data), mode, 1.5, 1_234_567
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def _written_by_python() -> Iterator[LegalCase]:
    yield LegalCase("zip-zipfile-deflated", lambda: _zipfile(zipfile.ZIP_DEFLATED), SITE)
    yield LegalCase("zip-zipfile-stored", lambda: _zipfile(zipfile.ZIP_STORED), SITE)
    yield LegalCase(
        "zip-zipfile-streamed", lambda: _zipfile(zipfile.ZIP_DEFLATED, seekable=False), SITE
    )
    yield LegalCase("zip-zipfile-zip64", _zipfile_forced_zip64, SITE)
    yield LegalCase("zip-zipfile-streamed-zip64", _zipfile_streamed_zip64, SITE)
    deep = {"/".join(["folder-with-a-name"] * 12) + "/" + "f" * 120 + "-ä.html": b"deep"}
    for label, format_ in (("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT)):
        yield LegalCase(f"tar-tarfile-{label}", lambda f=format_: _tarfile(f), SITE)  # type: ignore[misc]
        yield LegalCase(f"tar-tarfile-{label}-deep", lambda f=format_: _tarfile(f, deep), deep)  # type: ignore[misc]
    yield LegalCase("tar-tarfile-ustar", lambda: _tarfile(tarfile.USTAR_FORMAT), SITE)
    yield LegalCase("tar-setuid", lambda: _tarfile(tarfile.PAX_FORMAT, SITE, 0o6755), SITE)
    yield LegalCase("tar-mode-000", lambda: _tarfile(tarfile.PAX_FORMAT, SITE, 0), SITE)


def _tars_by_hand() -> Iterator[LegalCase]:
    good = simple_tar(SITE)
    index = member()
    half = len(good) // 2
    wide = b"\x80".ljust(11, b"\0") + b"\x0e"
    for name, data, files in (
        ("plain", good, SITE),
        ("gz", gz(good), SITE),
        ("gz-many-members", gz(good[:half]) + gz(good[half:]), SITE),
        ("gz-empty-member", gz(good) + gz(b""), SITE),
        ("gz-uncompressed", gzip.compress(good, 0), SITE),
        ("record-padding", good + bytes(10_240), SITE),
        ("dot-slash", make_tar(header(b"./", kind=b"5"), member(b"./index.html")), INDEX),
        ("dot", make_tar(header(b".", kind=b"5"), member(b"./index.html")), INDEX),
        ("folders", make_tar(header(b"a/", kind=b"5"), member(b"a/b", b"x")), {"a/b": b"x"}),
        ("folder-no-slash", make_tar(header(b"a", kind=b"5"), member(b"a/b", b"x")), {"a/b": b"x"}),
        ("v7", make_tar(member(magic=bytes(8), kind=b"\0")), INDEX),
        ("v7-folder", make_tar(header(b"a/", magic=bytes(8), kind=b"\0"), index), INDEX),
        ("size-base-256", make_tar(header(size=wide) + index[512:]), INDEX),
        ("size-blank-padded", make_tar(header(size=b"         16 ") + index[512:]), INDEX),
        ("prefix", make_tar(member(b"b.html", b"x", prefix=b"a/c")), {"a/c/b.html": b"x"}),
        ("gnu-long-name", make_tar(long_name(LONG.encode()), member(b"n", b"x")), {LONG: b"x"}),
        ("pax-name", make_tar(pax({"path": LONG}), member(b"n", b"x")), {LONG: b"x"}),
        ("pax-harmless", make_tar(pax({"mtime": "1.5", "SCHILY.xattr.user.a": "b"}), index), INDEX),
        ("pax-size", make_tar(pax({"size": "14"}), index), INDEX),
        ("pax-charset", make_tar(pax({"hdrcharset": "BINARY"}), index), INDEX),
        ("global-comment", make_tar(pax({"comment": "c0ffee" * 6}, kind=b"g"), index), INDEX),
        ("utf8", make_tar(member("ü/日本.html".encode(), b"x")), {"ü/日本.html": b"x"}),
        ("odd-mode", make_tar(member(mode=b"garbage\0")), INDEX),
    ):  # fmt: skip
        yield LegalCase(f"tar-{name}", lambda data=data: data, files)  # type: ignore[misc]


def _odd_names() -> Iterator[LegalCase]:
    names = (
        ".well-known/security.txt", ".gitignore", "..foo", "foo..bar", "a b.html", " lead.html",
        "100%25.html", "[slug].html", "@scope/x.js", "~user/index.html", "ab:c.txt", "-rf",
        "*.html", "emoji-\U0001f600.html", "e\u0301.html", "con.txt", "a'b\"c.html", "x;y&z=1.html",
        "releases/a", "environment.js", "id_rsa.pub", "%5Bid%5D.html", "d/" * 31 + "f",
    )  # fmt: skip
    files = {name: name.encode() for name in names}
    yield LegalCase("zip-odd-names", lambda: simple_zip(files), files)
    yield LegalCase("tar-odd-names", lambda: _tarfile(tarfile.PAX_FORMAT, files), files)
    library = {"lib.js": b"const begin = `-----BEGIN PRIVATE KEY-----\\n${key}`;", **INDEX}
    yield LegalCase("zip-mentions-a-key", lambda: simple_zip(library), library)


def _git_archive(format_: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for path, data in SITE.items():
            file = Path(folder, path)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "a"]):
            subprocess.run(["git", *command], cwd=folder, check=True)
        command = ["git", "archive", f"--format={format_}", "HEAD"]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def _by_program(command: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for path, data in SITE.items():
            file = Path(folder, path)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def _written_by_programs() -> Iterator[LegalCase]:
    programs: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
        ("git", "git-zip", lambda: _git_archive("zip")),
        ("git", "git-tar", lambda: _git_archive("tar")),
        ("git", "git-tar-gz", lambda: _git_archive("tar.gz")),
        ("tar", "gnu-tar", lambda: _by_program(["tar", "-cf", "-", "."])),
        ("tar", "gnu-tar-gz", lambda: _by_program(["tar", "-czf", "-", "."])),
        ("tar", "gnu-tar-pax", lambda: _by_program(["tar", "--format=pax", "-cf", "-", "."])),
        ("tar", "gnu-tar-v7", lambda: _by_program(["tar", "--format=v7", "-cf", "-", "."])),
        ("zip", "info-zip", lambda: _by_program(["zip", "-qr", "-", "."])),
        ("zip", "info-zip-no-folders", lambda: _by_program(["zip", "-qrD", "-", "."])),
    )
    for program, name, build in programs:
        if shutil.which(program):
            yield LegalCase(f"program-{name}", build, SITE)


def legal_archives() -> Iterator[LegalCase]:
    """Yield every odd archive that must be taken."""
    for group in (
        _zips_by_hand,
        _written_by_python,
        _tars_by_hand,
        _odd_names,
        _written_by_programs,
    ):
        yield from group()
