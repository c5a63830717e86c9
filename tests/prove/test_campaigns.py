"""The campaigns with few rounds; `make prove` runs the long ones."""

from pathlib import Path
from types import ModuleType

import pytest

from tests import engines
from tests.outages.postgresql_server import programs
from tests.prove import (
    crash_points,
    crashes,
    deliveries,
    ordering,
    outages,
    races,
    report,
    request_races,
    visitors,
    writers,
)
from tests.prove.__main__ import campaigns
from tests.prove.ordering import Call, read_calls, violations
from tests.services_guard import missing_service, required_program


def check(module: ModuleType) -> None:
    result = report.judged(module, module.run(full=False), seconds=0)

    assert not result.missed, report.as_text(result)


def test_visitors_notice_no_promotion_and_would_notice_the_naive_way() -> None:
    check(visitors)


def test_of_many_parallel_promotions_exactly_one_switches() -> None:
    check(races)


@engines.on_engines()
def test_of_many_approvers_and_executors_each_counts_once(engine_name: str) -> None:
    total = request_races.campaign(engine_name, request_races.QUICK_ROUNDS)

    result = report.judged(request_races, request_races.figures(total), seconds=0)
    assert not result.missed, report.as_text(result)


def test_everything_agrees_after_sigkill_at_random_moments() -> None:
    check(crashes)


def test_everything_agrees_after_sigkill_at_named_points() -> None:
    check(crash_points)


def test_no_writer_finds_sqlite_locked(tmp_path: Path) -> None:
    figures = writers.campaign(tmp_path, each=25, processes=2)

    result = report.judged(writers, figures, seconds=0)
    assert not result.missed, report.as_text(result)
    assert figures["writes"] == 16 * 25


def test_jobs_delivered_again_and_again_take_effect_once() -> None:
    check(deliveries)


@pytest.mark.service
def test_an_outage_loses_nothing_and_ends_by_itself() -> None:
    required_program("redis-server")
    if programs() is None:
        missing_service("PostgreSQL is not installed")

    check(outages)


@engines.only_sqlite  # what a server does to its files is not seen
@pytest.mark.service
def test_a_promotion_syncs_before_it_renames() -> None:
    required_program("strace")

    check(ordering)


JOURNAL = [
    Call("write", "/d/.staging/journal-1"),
    Call("sync", "/d/.staging/journal-1"),
    Call("rename", "/d/.staging/journal-1", "/d/web/.state/main.json"),
    Call("sync", "/d/web/.state"),
]


def test_the_right_order_is_no_violation() -> None:
    assert violations(JOURNAL) == []


@pytest.mark.parametrize("left_out", [1, 3])
def test_a_missing_sync_is_a_violation(left_out: int) -> None:
    assert violations([call for place, call in enumerate(JOURNAL) if place != left_out])


def test_a_write_after_the_sync_is_a_violation() -> None:
    assert violations([JOURNAL[1], JOURNAL[0], *JOURNAL[2:]])


def test_a_rename_before_the_database_is_synced_is_a_violation() -> None:
    assert violations([Call("write", "/d/relevo.db-wal"), *JOURNAL])


def test_calls_of_several_threads_are_put_together() -> None:
    text = (
        "11 fsync(7</d/a> <unfinished ...>\n"
        '12 rename("/d/a", "/d/b") = 0\n'
        "11 <... fsync resumed>) = 0\n"
        "12 fsync(9</elsewhere/c>) = 0\n"
        "12 fsync(9</d/c>) = -1 EIO\n"
    )

    assert read_calls(text, Path("/d")) == [Call("rename", "/d/a", "/d/b"), Call("sync", "/d/a")]


def test_a_threshold_decides() -> None:
    assert report.holds(0, "== 0") is True
    assert report.holds(6, "<= 5") is False
    assert report.holds("unknown", "== 0") is False
    assert report.holds(3, "") is None


def test_campaigns_are_found_by_their_names() -> None:
    assert {"visitors", "races", "crashes", "crash_points", "ordering"} <= campaigns().keys()
