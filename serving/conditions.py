"""What a visitor's request headers ask for: codings, ranges, "only if it changed"."""

import re
from dataclasses import dataclass
from functools import lru_cache

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header, parse_etags

CODINGS = {"br": "br", "gz": "gzip"}
"""Suffix of a variant's file -> Content-Encoding, the better one first."""

_ONE_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive bytes of a file."""

    start: int
    length: int


class UnsatisfiableRangeError(Exception):
    """The range asks for bytes that the file does not have, or cannot be understood."""


@lru_cache(maxsize=256)
def accepted_suffixes(accept_encoding: str) -> tuple[str, ...]:
    """Return the suffixes of variants in the order in which the client wants them.

    A coding the client likes less than the plain file is left out.
    """
    accepted = parse_accept_header(accept_encoding, Accept)
    plain_quality = accepted.quality("identity") if "identity" in accept_encoding.lower() else 0.0
    weighed = {suffix: accepted.quality(coding) for suffix, coding in CODINGS.items()}
    usable = [suffix for suffix in weighed if weighed[suffix] > 0]
    wanted = [suffix for suffix in usable if weighed[suffix] >= plain_quality]
    return tuple(sorted(wanted, key=lambda suffix: -weighed[suffix]))


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the client already has the representation with this entity tag."""
    if not if_none_match:
        return False
    return parse_etags(if_none_match).contains_weak(etag)


def applicable_range(header: str | None, if_range: str | None, etag: str) -> str | None:
    """Return what follows `bytes=` when one range is asked for and may be answered.

    Several ranges get the whole file. `If-Range` counts only as a strong entity tag: the files
    carry no date that could be compared.

    Args:
        etag: of the plain file, without quotes; ranges are cut from nothing else.
    """
    unit, separator, ranges = (header or "").partition("=")
    if not separator or unit.strip().lower() != "bytes" or "," in ranges:
        return None
    if if_range is not None and if_range.strip() != f'"{etag}"':
        return None
    return ranges.strip()


def part_of(ranges: str, size: int) -> Part:
    """Return the bytes that one range names in a file of `size` bytes.

    Raises:
        UnsatisfiableRangeError: see there.
    """
    match = _ONE_RANGE.fullmatch(ranges)
    first, last = match.groups() if match else ("", "")
    part = _part(first, last, size) if first or last else None
    if part is None or part.length <= 0:
        raise UnsatisfiableRangeError
    return part


def _part(first: str, last: str, size: int) -> Part:
    if not first:
        length = min(int(last), size)
        return Part(size - length, length)
    end = min(int(last) + 1, size) if last else size
    return Part(int(first), end - int(first))
