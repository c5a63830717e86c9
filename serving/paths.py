"""Which file of a release answers an address."""

from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import quote

NOT_FOUND_PAGE = "404.html"
_INDEX = "index.html"
_WELL_KNOWN = ".well-known"
# What nginx leaves as it is when it writes a Location.
_UNQUOTED = "/!$&'()*+,;:@=-._~"


class DotSegmentsError(Exception):
    """The path holds `.` or `..` segments or NUL, which no ordinary client sends."""


@dataclass(frozen=True, slots=True)
class ServedFile:
    """The manifest path to answer with."""

    path: str


@dataclass(frozen=True, slots=True)
class FolderWithoutSlash:
    """The address names a folder that has an index; `location` is where it answers."""

    location: str


def site_path(path_info: str) -> str | None:
    """Return the path below the site's root: no leading slash, repeated slashes merged.

    None means that no site has such a path: a hidden name, or bytes that are not UTF-8.

    Args:
        path_info: the WSGI variable, percent-decoded exactly once by the server.

    Raises:
        DotSegmentsError: see there.
    """
    try:
        decoded = path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
    segments = [segment for segment in decoded.split("/") if segment]
    if "\0" in decoded or "." in segments or ".." in segments:
        raise DotSegmentsError
    if any(map(_is_hidden, segments[:1])) or any(name.startswith(".") for name in segments[1:]):
        return None
    return "/".join(segments) + ("/" if segments and decoded.endswith("/") else "")


def find_file(paths: Container[str], wanted: str) -> ServedFile | FolderWithoutSlash | None:
    """Apply the clean addresses: the file itself, then `.html`, then a folder with an index.

    Args:
        paths: the paths of the release's manifest.
        wanted: what `site_path` returned.
    """
    if not wanted or wanted.endswith("/"):
        return ServedFile(wanted + _INDEX) if wanted + _INDEX in paths else None
    for candidate in (wanted, f"{wanted}.html"):
        if candidate in paths:
            return ServedFile(candidate)
    if f"{wanted}/{_INDEX}" in paths:
        return FolderWithoutSlash(quote(f"/{wanted}/", safe=_UNQUOTED))
    return None


def _is_hidden(first_segment: str) -> bool:
    return first_segment.startswith(".") and first_segment != _WELL_KNOWN
