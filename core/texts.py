"""Texts of people: which characters they may hold, and how to show one that holds others.

A control character or a mark that turns the direction of writing makes a line look like
something else, in a terminal, in a mail and in a list. Marks that only tell the direction of a
word (U+200E, U+200F, U+061C) are not among them: Arabic and Hebrew need those.
"""

import re

_DIRECTION = "\u202a-\u202e\u2066-\u2069"
_NOT_IN_A_LINE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_DIRECTION}]")
_NOT_IN_LINES = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTION}]")
_NOT_PRINTED = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029{_DIRECTION}]")
_NOT_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_DIRECTION}]")


def is_one_line(text: str) -> bool:
    """Tell whether `text` can stand on one line: it neither breaks nor disguises it."""
    return _NOT_IN_A_LINE.search(text) is None


def is_plain(text: str) -> bool:
    """Tell whether `text` holds, of all control characters, line feeds and tabs alone."""
    return _NOT_IN_LINES.search(text) is None


def printable(text: str) -> str:
    """Return one line to print: what could do something to a terminal is written in ASCII."""
    return _NOT_PRINTED.sub(_escape, text)


def printable_json(document: str) -> str:
    """Return the same JSON document without such characters; JSON itself escapes most."""
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
