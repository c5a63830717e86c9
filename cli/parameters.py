"""Kinds of values that commands take."""

import re
from collections.abc import Callable

import click

from core import texts

COMMIT_PREFIX = "commit:"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def bounded(limit: int) -> Callable[[str], str]:
    """Return the kind of texts of at most `limit` characters."""
    return _text(limit, texts.is_plain, "Use no control characters but line feeds and tabs.")


def line(limit: int) -> Callable[[str], str]:
    """Return the kind of texts that are one line of at most `limit` characters."""
    return _text(limit, texts.is_one_line, "Use one line, without control characters.")


def _text(limit: int, check: Callable[[str], bool], rule: str) -> Callable[[str], str]:
    def text(value: str) -> str:
        if len(value) > limit:
            raise click.BadParameter(f"Use at most {limit} characters.")
        if not check(value):
            raise click.BadParameter(rule)
        return value

    return text


def release(value: str) -> int | str:
    """Read the number of a release, or `commit:<sha>` for the latest upload of a commit."""
    return value if value.startswith(COMMIT_PREFIX) else release_number(value)


def release_number(value: str) -> int:
    """Read the number of a release."""
    if not _NUMBER.fullmatch(value):
        raise click.BadParameter("Name a release by its number.")
    return int(value)
