"""Kinds of values that commands take."""

import re
from collections.abc import Callable

import click

COMMIT_PREFIX = "commit:"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def bounded(limit: int) -> Callable[[str], str]:
    """Return the kind of texts of at most `limit` characters."""

    def text(value: str) -> str:
        if len(value) > limit:
            raise click.BadParameter(f"Use at most {limit} characters.")
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
