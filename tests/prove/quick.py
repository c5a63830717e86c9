"""Run a campaign with few rounds; each stands in a file of its own, so that they run side by side.

`make prove` runs the long ones.
"""

from types import ModuleType

from tests.prove import report


def check(module: ModuleType) -> None:
    """Run it and fail when a figure misses its threshold."""
    judge(module, module.run(full=False))


def judge(module: ModuleType, figures: dict[str, object]) -> None:
    """Fail when a figure misses its threshold."""
    result = report.judged(module, figures, seconds=0)
    assert not result.missed, report.as_text(result)
