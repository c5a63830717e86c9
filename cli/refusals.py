"""Tell refusals in words on standard error, with exit code 1."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from core.errors import DomainError

P = ParamSpec("P")
R = TypeVar("R")


def tell_refusals(command: Callable[P, R]) -> Callable[P, R]:
    """Turn a DomainError of `command` into one line for each complaint."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DomainError as error:
            lines = [f"{entry.pointer.lstrip('/?')}: {entry.message}" for entry in error.errors]
            raise click.ClickException("; ".join(lines) or error.detail) from error

    return run
