"""Killed at random moments of ordinary work."""

from tests.prove import crashes, quick


def test_everything_agrees_after_sigkill_at_random_moments() -> None:
    quick.check(crashes)
