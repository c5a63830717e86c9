"""Visitors during promotions."""

from tests.prove import quick, visitors


def test_visitors_notice_no_promotion_and_would_notice_the_naive_way() -> None:
    quick.check(visitors)
