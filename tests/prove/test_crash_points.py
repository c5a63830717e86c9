"""Killed at named points."""

from tests.prove import crash_points, quick


def test_everything_agrees_after_sigkill_at_named_points() -> None:
    quick.check(crash_points)
