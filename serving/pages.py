"""The answers of one release: its files, its redirects and its own page for what is missing."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from serving.answers import Answer, FileBody, file_body, plain_answer
from serving.caching import REVALIDATE, cache_control
from serving.conditions import (
    Part,
    UnsatisfiableRangeError,
    applicable_range,
    is_known,
    part_of,
)
from serving.paths import NOT_FOUND_PAGE, FolderWithoutSlash, find_file, site_path
from serving.representations import ReleaseFiles, Representation, vary
from storage.manifests import ManifestEntry


@dataclass(frozen=True, slots=True)
class Pages:
    """One release as visitors see it. A request uses one of these from beginning to end."""

    entries: Mapping[str, ManifestEntry]
    files: ReleaseFiles

    def answer(self, environ: WSGIEnvironment) -> Answer:
        """Answer GET or HEAD.

        Raises:
            DotSegmentsError: the path is one that no ordinary client sends.
            DamagedReleaseError: a file that the manifest names is not there as it should be.
        """
        wanted = site_path(environ.get("PATH_INFO", ""))
        found = None if wanted is None else find_file(self.entries, wanted)
        if found is None:
            return self._not_found(environ)
        if isinstance(found, FolderWithoutSlash):
            return _redirect(found.location, environ.get("QUERY_STRING", ""))
        return self._file(self.entries[found.path], environ)

    def _not_found(self, environ: WSGIEnvironment) -> Answer:
        entry = self.entries.get(NOT_FOUND_PAGE)
        if entry is None:
            return plain_answer(HTTPStatus.NOT_FOUND)
        shown = self.files.best(entry, environ.get("HTTP_ACCEPT_ENCODING", ""))
        headers = [*shown.headers, ("Cache-Control", REVALIDATE)]
        return Answer(HTTPStatus.NOT_FOUND, headers, _whole(shown))

    def _file(self, entry: ManifestEntry, environ: WSGIEnvironment) -> Answer:
        ranges = _ranges(entry, environ)
        if ranges is None:
            shown = self.files.best(entry, environ.get("HTTP_ACCEPT_ENCODING", ""))
        else:
            shown = self.files.plain(entry)
        caching = [
            ("ETag", f'"{shown.etag}"'),
            ("Cache-Control", cache_control(entry.path, entry.content_type)),
        ]
        if is_known(environ.get("HTTP_IF_NONE_MATCH"), shown.etag):
            shown.file.close()
            return Answer(HTTPStatus.NOT_MODIFIED, [*caching, *vary(entry)])
        answer = _full(shown) if ranges is None else _partial(shown, ranges)
        if answer.status is not HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            answer.headers += caching
        return answer


def _ranges(entry: ManifestEntry, environ: WSGIEnvironment) -> str | None:
    header = environ.get("HTTP_RANGE")
    if header is None or environ["REQUEST_METHOD"] != "GET" or entry.size_bytes == 0:
        return None
    return applicable_range(header, environ.get("HTTP_IF_RANGE"), entry.sha256)


def _full(shown: Representation) -> Answer:
    headers = shown.headers
    if shown.coding is None:
        headers.append(("Accept-Ranges", "bytes"))
    return Answer(HTTPStatus.OK, headers, _whole(shown))


def _partial(shown: Representation, ranges: str) -> Answer:
    size = shown.file.size_bytes
    try:
        part = part_of(ranges, size)
    except UnsatisfiableRangeError:
        shown.file.close()
        headers = [("Content-Range", f"bytes */{size}"), *vary(shown.entry)]
        return plain_answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, *headers)
    content_range = ("Content-Range", f"bytes {part.start}-{part.start + part.length - 1}/{size}")
    headers = [*shown.headers, content_range]
    return Answer(HTTPStatus.PARTIAL_CONTENT, headers, file_body(shown.file, part))


def _whole(shown: Representation) -> bytes | FileBody:
    return file_body(shown.file, Part(0, shown.file.size_bytes))


def _redirect(location: str, query: str) -> Answer:
    # Not for ever, in spite of 301: the next release may have a page of that name.
    kept = quote(query, safe=string.punctuation, encoding="latin-1")
    target = f"{location}?{kept}" if kept else location
    return plain_answer(HTTPStatus.MOVED_PERMANENTLY, ("Location", target))
