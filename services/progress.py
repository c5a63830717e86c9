"""How far long work has come, for whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    """Is told what begins, how much there is of it, and how much is done."""

    def begin(self, label: str, length: int) -> None:
        """Start a new stretch of `length` steps; the one before it is over."""

    def advance(self, steps: int) -> None:
        """Count steps that are done."""


class Silent:
    """Shows nothing."""

    def begin(self, label: str, length: int) -> None:
        """Start a stretch that nobody sees."""

    def advance(self, steps: int) -> None:
        """Count nothing."""
