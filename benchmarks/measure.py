"""How a time becomes a figure: interleaved rounds, medians for us, minima for the other side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One measured figure beside its goal.

    `goal` begins with `<=` or `>=`, or is empty for a figure that is only shown; what it counts
    is in `unit`.
    """

    part: str
    figure: str
    value: float
    goal: str
    unit: str = "x"
    detail: str = ""

    @property
    def is_met(self) -> bool:
        if not self.goal:
            return True
        comparison, limit = self.goal.split()
        return self.value <= float(limit) if comparison == "<=" else self.value >= float(limit)

    def __str__(self) -> str:
        state = ("ok" if self.is_met else "MISSED") if self.goal else ""
        shown = f"{self.value:,.2f}{self.unit}"
        goal = f"goal {self.goal}{self.unit}" if self.goal else ""
        return f"{self.figure:<56} {shown:>14}  {goal:<16} {state:<6} {self.detail}"


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(rounds: int, **works: Callable[[], object]) -> dict[str, list[float]]:
    """Run all works in turn, so that each meets the same neighbours; return their seconds."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def ms(value: float) -> str:
    """Return seconds as milliseconds."""
    return f"{value * 1000:,.2f} ms"


def median(values: list[float]) -> float:
    return statistics.median(values)
