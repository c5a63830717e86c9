"""Many at once: promotions, approvals and writes."""

from pathlib import Path

from tests import engines
from tests.prove import quick, races, request_races, writers


def test_of_many_parallel_promotions_exactly_one_switches() -> None:
    quick.check(races)


@engines.on_engines()
def test_of_many_approvers_and_executors_each_counts_once(engine_name: str) -> None:
    total = request_races.campaign(engine_name, request_races.QUICK_ROUNDS)

    quick.judge(request_races, request_races.figures(total))


def test_no_writer_finds_sqlite_locked(tmp_path: Path) -> None:
    figures = writers.campaign(tmp_path, each=25, processes=2)

    quick.judge(writers, figures)
    assert figures["writes"] == 16 * 25
