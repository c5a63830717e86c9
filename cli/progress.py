"""Bars for work of several stretches, on a terminal only."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

import click


class Bars:
    """One bar after the other; hidden unless standard error is a terminal."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._update: Callable[[int], None] | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def begin(self, label: str, length: int) -> None:
        """Finish the bar before and show the next one."""
        self._stack.close()
        bar = click.progressbar(
            length=max(length, 1), label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
        )
        self._update = self._stack.enter_context(bar).update

    def advance(self, steps: int) -> None:
        """Move the bar on."""
        if self._update is not None:
            self._update(steps)
