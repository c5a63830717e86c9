"""Places where one feature lets another speak without knowing it."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Hook(Generic[P, T]):
    """A function that somebody above fills in when the application is made.

    Whoever calls it owns it; `nothing` is what happens while nobody is connected.
    """

    def __init__(self, nothing: Callable[P, T]) -> None:
        self._callback = nothing

    def connect(self, callback: Callable[P, T]) -> None:
        """Let `callback` answer from now on; connecting it again changes nothing."""
        self._callback = callback

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._callback(*args, **kwargs)
