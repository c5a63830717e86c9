"""What is promised after a power cut: the order of system calls."""

from pathlib import Path

import pytest

from tests import engines
from tests.prove import ordering, quick
from tests.prove.ordering import Call, read_calls, violations
from tests.services_guard import required_program


@engines.only_sqlite  # what a server does to its files is not seen
@pytest.mark.service
def test_a_promotion_syncs_before_it_renames() -> None:
    required_program("strace")

    quick.check(ordering)


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
