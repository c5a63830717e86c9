"""Jobs that are delivered again and again."""

from tests.prove import deliveries, quick


def test_jobs_delivered_again_and_again_take_effect_once() -> None:
    quick.check(deliveries)
