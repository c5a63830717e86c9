"""Names that must be refused in whatever archive they come."""

from collections.abc import Iterator
from functools import partial

from tests.archives.cases import HostileCase
from tests.archives.tar_maker import long_name, make_tar, member, pax
from tests.archives.zip_maker import ZipPart, make_zip

BAD_NAMES: tuple[tuple[str, bytes, str], ...] = (
    ("parent", b"../evil.html", "path_traversal"),
    ("parent-deep", b"a/b/../../../evil.html", "path_traversal"),
    ("parent-inside", b"a/../index.html", "path_traversal"),
    ("parent-last", b"a/..", "path_traversal"),
    ("parent-only", b"..", "path_traversal"),
    ("parent-folder", b"../", "path_traversal"),
    ("parent-after-dot", b"./../evil.html", "path_traversal"),
    ("parent-many", b"../" * 40 + b"etc/passwd", "path_traversal"),
    ("parent-with-space", b".. /evil.html", "dot_component"),
    ("parent-space-before", b" ../evil.html", "dot_component"),
    ("three-dots", b".../evil.html", "dot_component"),
    ("only-spaces", b"a/  /b.html", "dot_component"),
    ("dot-inside", b"a/./b.html", "dot_component"),
    ("dot-twice", b"././index.html", "dot_component"),
    ("dot-last", b"a/.", "dot_component"),
    ("absolute", b"/etc/passwd", "absolute_path"),
    ("absolute-after-dot", b".//etc/passwd", "absolute_path"),
    ("unc-slashes", b"//server/share/evil.html", "absolute_path"),
    ("root", b"/", "absolute_path"),
    ("drive", b"C:/windows/evil.html", "drive_letter"),
    ("drive-relative", b"c:evil.html", "drive_letter"),
    ("drive-backslash", b"C:\\evil.html", "backslash"),
    ("backslash", b"a\\b.html", "backslash"),
    ("backslash-parent", b"..\\evil.html", "backslash"),
    ("unc", b"\\\\server\\share\\evil.html", "backslash"),
    ("newline", b"in\ndex.html", "control_character"),
    ("carriage-return", b"index.html\r", "control_character"),
    ("tab", b"in\tdex.html", "control_character"),
    ("escape", b"\x1b[2Jindex.html", "control_character"),
    ("bell", b"\x07index.html", "control_character"),
    ("delete", b"index\x7f.html", "control_character"),
    ("next-line", "index\u0085.html".encode(), "control_character"),
    ("line-separator", "index\u2028.html".encode(), "control_character"),
    ("right-to-left", "index\u202elmth.exe".encode(), "control_character"),
    ("isolate", "index\u2066.html".encode(), "control_character"),
    ("latin-1", b"caf\xe9.html", "not_utf8"),
    ("overlong-slash", b"a\xc0\xafb.html", "not_utf8"),
    ("overlong-dots", b"\xc0\xae\xc0\xae/evil.html", "not_utf8"),
    ("surrogate", b"\xed\xa0\x80.html", "not_utf8"),
    ("cut-utf8", b"index.html\xe2\x82", "not_utf8"),
    ("two-slashes", b"a//b.html", "empty_component"),
    ("two-slashes-last", b"a/b//", "empty_component"),
    ("encoded-parent", b"%2e%2e/evil.html", "encoded_separator"),
    ("encoded-parent-mixed", b"a/.%2E/evil.html", "encoded_separator"),
    ("encoded-slash", b"..%2fevil.html", "encoded_separator"),
    ("encoded-backslash", b"..%5Cevil.html", "encoded_separator"),
    ("encoded-nul", b"index.html%00.png", "encoded_separator"),
    ("wide-dots", "\uff0e\uff0e/evil.html".encode(), "path_traversal"),
    ("wide-slash", "a\uff0fb.html".encode(), "path_traversal"),
    ("wide-backslash", "a\uff3cb.html".encode(), "path_traversal"),
    ("account-of", "a\u2100b.html".encode(), "path_traversal"),
)
LONG_NAMES: tuple[tuple[str, bytes, str], ...] = (
    ("256-bytes", b"n" * 251 + b".html", "name_too_long"),
    ("unicode-256-bytes", ("ä" * 128).encode(), "name_too_long"),
    ("path-1025-bytes", b"/".join([b"d" * 200] * 5) + b"/" + b"x" * 20, "path_too_long"),
    ("path-60000-bytes", b"/".join([b"deep"] * 12_000), "path_too_long"),
)
PAIRS: tuple[tuple[str, bytes, bytes, str], ...] = (
    ("same-file", b"index.html", b"index.html", "duplicate_name"),
    ("same-file-by-dot", b"index.html", b"./index.html", "duplicate_name"),
    ("same-folder", b"a/", b"a/", "duplicate_name"),
    ("case", b"index.html", b"INDEX.html", "name_collision"),
    ("case-of-folder", b"Img/a.png", b"img/b.png", "name_collision"),
    ("case-of-explicit-folder", b"Img/", b"img/", "name_collision"),
    ("case-unicode", "ä.html".encode(), "Ä.html".encode(), "name_collision"),
    ("case-sharp-s", "straße.html".encode(), b"strasse.html", "name_collision"),
    ("normal-form", "é.html".encode(), "e\u0301.html".encode(), "name_collision"),
    ("normal-form-folder", "é/a".encode(), "e\u0301/b".encode(), "name_collision"),
    ("file-then-inside", b"a", b"a/b", "file_and_folder"),
    ("inside-then-file", b"a/b", b"a", "file_and_folder"),
    ("file-then-folder", b"a", b"a/", "file_and_folder"),
    ("folder-then-file", b"a/", b"a", "file_and_folder"),
    ("file-and-folder-by-case", b"A", b"a/b", "file_and_folder"),
)


def zip_of(*names: bytes) -> bytes:
    return make_zip(*(_zip_part(name) for name in names))


def _zip_part(name: bytes) -> ZipPart:
    if name.endswith(b"/"):
        return ZipPart(name, b"", method=0, attributes=0o040755 << 16)
    return ZipPart(name, flags=0 if name.isascii() else 0x800)


def tar_of(*names: bytes) -> bytes:
    return make_tar(*(_tar_member(name) for name in names))


def _tar_member(name: bytes) -> bytes:
    if name.endswith(b"/"):
        return member(name, b"", kind=b"5")
    return member(name) if len(name) <= 100 else long_name(name) + member(name)


def _pax_of(name: str) -> bytes:
    return make_tar(pax({"path": name}), member())


def hostile_names() -> Iterator[HostileCase]:
    """Yield every bad name in both kinds of archive, and some by way of pax and GNU headers."""
    for label, name, rule in (*BAD_NAMES, *LONG_NAMES):
        yield HostileCase(f"zip-name-{label}", partial(zip_of, b"index.html", name), rule)
        if len(name) < 60_000:
            yield HostileCase(f"tar-name-{label}", partial(tar_of, b"index.html", name), rule)
    for label, first, second, rule in PAIRS:
        yield HostileCase(f"zip-pair-{label}", partial(zip_of, first, second, b"z"), rule)
        yield HostileCase(f"tar-pair-{label}", partial(tar_of, first, second, b"z"), rule)
    for label, text, rule in (
        ("parent", "../evil.html", "path_traversal"),
        ("absolute", "/etc/passwd", "absolute_path"),
        ("nul", "index.html\0.png", "nul_in_name"),
        ("newline", "in\ndex.html", "control_character"),
    ):
        yield HostileCase(f"tar-pax-name-{label}", partial(_pax_of, text), rule)
    yield HostileCase("zip-name-nul", partial(zip_of, b"index.html\0.png"), "nul_in_name")
    yield HostileCase("tar-name-nul", partial(tar_of, b"index.html\0.png"), "nul_in_name")
    yield HostileCase("zip-name-empty", partial(zip_of, b"", b"index.html"), "empty_name")
    yield HostileCase("tar-name-empty", partial(tar_of, b"", b"index.html"), "empty_name")
    yield HostileCase(
        "tar-gnu-name-nul",
        lambda: make_tar(long_name(b"index.html\0.png"), member()),
        "nul_in_name",
    )
    yield HostileCase(
        "tar-prefix-parent", lambda: make_tar(member(b"evil.html", prefix=b"..")), "path_traversal"
    )
    yield HostileCase(
        "tar-prefix-absolute",
        lambda: make_tar(member(b"evil.html", prefix=b"/etc")),
        "absolute_path",
    )
