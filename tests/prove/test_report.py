"""Campaigns are found and judged."""

from tests.prove import report
from tests.prove.__main__ import campaigns


def test_a_threshold_decides() -> None:
    assert report.holds(0, "== 0") is True
    assert report.holds(6, "<= 5") is False
    assert report.holds("unknown", "== 0") is False
    assert report.holds(3, "") is None


def test_campaigns_are_found_by_their_names() -> None:
    assert {"visitors", "races", "crashes", "crash_points", "ordering"} <= campaigns().keys()
