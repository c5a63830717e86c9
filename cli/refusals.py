"""Tell refusals: words on standard error or a JSON document, and exit code 1."""

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from sqlalchemy.exc import DBAPIError

from cli.documents import to_json
from core import restore_marker
from core.errors import DomainError
from core.texts import printable
from services.failures import as_domain_error

P = ParamSpec("P")
R = TypeVar("R")

EXIT_REFUSED = 1
NEW_LINE = "\n"


def tell_refusals(command: Callable[P, R]) -> Callable[P, R]:
    """End with the words of a refusal when `command` raises one."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            refuse(error, as_json=False)
            raise

    return run


def refuse_half_restored(data_dir: Path) -> None:
    """Stop, with the words of the refusal, when a restore into DATA_DIR did not end."""
    try:
        restore_marker.refuse(data_dir)
    except DomainError as error:
        refuse(error, as_json=False)


def refuse(error: Exception, *, as_json: bool) -> None:
    """Print what `error` means to the caller and exit; return when it is a fault of ours.

    A database that is away and a full disk are refusals too.
    """
    refusal = error if isinstance(error, DomainError) else as_domain_error(error)
    if refusal is None:
        return
    refusal.detail = _with_options(refusal.detail)
    if as_json:
        click.echo(to_json(_document(refusal)))
    else:
        _print(refusal)
        if isinstance(error, DBAPIError):
            click.echo(printable(f"  {str(error.orig).partition(NEW_LINE)[0]}"), err=True)
    sys.exit(EXIT_REFUSED)


def _print(refusal: DomainError) -> None:
    click.echo(printable(f"error: {refusal.detail} ({refusal.code.value})"), err=True)
    for entry in refusal.errors:
        field = entry.pointer.lstrip("/?")
        named = f"{field}: {entry.message}" if field else entry.message
        click.echo(printable(f"  {named} ({entry.code})"), err=True)


def _with_options(detail: str) -> str:
    """Name the options of the command that runs where a refusal names fields of the API."""
    context = click.get_current_context(silent=True)
    for option in context.command.params if context else ():
        if isinstance(option, click.Option) and option.name and "_" in option.name:
            detail = re.sub(rf"\b{option.name}(=true)?\b", option.opts[0], detail)
    return detail


def _document(refusal: DomainError) -> dict[str, object]:
    document = {**refusal.members, "code": refusal.code, "detail": refusal.detail}
    return {**document, "errors": refusal.errors} if refusal.errors else document
