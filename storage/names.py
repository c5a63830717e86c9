"""The one rule for names of files: in zip and tar archives and in requests for a file."""

import re
import unicodedata

from storage.errors import ArchiveRefusedError
from storage.rules import ArchiveRule

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 1024

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,8}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DRIVE = re.compile(r"[A-Za-z]:")
_ENCODED = re.compile(r"%(?:2f|5c|00)|(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def parsed_name(raw: bytes) -> tuple[str, bool]:
    """Return the path an archive entry stands for, and whether its name marks it a folder.

    Two spellings are harmless and mean the same path: one leading `./` and one final slash.
    The top folder itself (`./`) is the empty path. Nothing else is changed.

    Raises:
        ArchiveRefusedError: the name breaks a rule.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveRefusedError(ArchiveRule.NOT_UTF8, raw) from error
    if _PLAIN.fullmatch(text):
        return text, False
    path = text.removeprefix("./") if text != "." else ""
    is_folder = text.endswith("/") or text == "."
    path = path if path == "/" else path.removesuffix("/")
    if not text:
        raise ArchiveRefusedError(ArchiveRule.EMPTY_NAME)
    if path or text not in ("./", "."):
        check_path(path, shown=text)
    return path, is_folder


def check_path(path: str, *, shown: str | None = None) -> None:
    """Raise ArchiveRefusedError unless `path` may name a file below a release."""
    rule = _broken_by_letters(path) or _broken_by_parts(path)
    if rule is not None:
        raise ArchiveRefusedError(rule, path if shown is None else shown)


def _broken_by_letters(path: str) -> ArchiveRule | None:
    checks = (
        ("\0" in path, ArchiveRule.NUL_IN_NAME),
        (_CONTROL.search(path), ArchiveRule.CONTROL_CHARACTER),
        ("\\" in path, ArchiveRule.BACKSLASH),
        (path.startswith("/"), ArchiveRule.ABSOLUTE_PATH),
        (_DRIVE.match(path), ArchiveRule.DRIVE_LETTER),
        (len(path.encode()) > MAX_PATH_BYTES, ArchiveRule.PATH_TOO_LONG),
    )
    return next((rule for broken, rule in checks if broken), None)


def _broken_by_parts(path: str) -> ArchiveRule | None:
    parts = path.split("/")
    # Compatibility forms can turn into dots and slashes in programs that normalise names.
    folded = unicodedata.normalize("NFKC", path)
    checks = (
        (".." in parts, ArchiveRule.PATH_TRAVERSAL),
        ("" in parts, ArchiveRule.EMPTY_COMPONENT),
        (any(not part.strip(". ") for part in parts), ArchiveRule.DOT_COMPONENT),
        (_ENCODED.search(path), ArchiveRule.ENCODED_SEPARATOR),
        (folded.count("/") != path.count("/") or "\\" in folded, ArchiveRule.PATH_TRAVERSAL),
        (".." in folded.split("/"), ArchiveRule.PATH_TRAVERSAL),
        (
            any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts),
            ArchiveRule.NAME_TOO_LONG,
        ),
    )
    return next((rule for broken, rule in checks if broken), None)


def collision_key(path: str) -> str:
    """Return the same key for paths that a case- or form-insensitive disk takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
