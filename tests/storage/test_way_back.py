"""The way back: it ends for every history, and the journal knows it as well as the rows do."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.journals import MAX_HISTORY, Journal, capped, first_journal
from storage.way_back import chain, is_behind, way_back

Move = tuple[str, bool]


def _moves(kinds: int, max_size: int) -> st.SearchStrategy[list[Move]]:
    digests = st.integers(1, kinds).map(lambda number: f"{number:064d}")
    return st.lists(st.tuples(digests, st.booleans()), min_size=1, max_size=max_size)


def _promoted(*releases: int) -> list[tuple[int, bool]]:
    return [(release, False) for release in releases]


def _steps(moves: Sequence[tuple[int, bool]]) -> list[int]:
    """Roll back until nothing is left, and return where it went."""
    done, steps = list(moves), []
    while behind := way_back(chain(done), done[-1][0] if done else None):
        steps.append(behind[0])
        done.append((behind[0], True))
    return steps


@pytest.mark.parametrize(
    ("moves", "steps"),
    [
        ([], []),
        (_promoted(1), []),
        (_promoted(1, 2, 3), [2, 1]),
        (_promoted(2, 1, 2, 3), [2, 1, 2]),
        (_promoted(1, 2, 3, 1), [3, 2, 1]),
        (_promoted(1, 1), []),
        ([*_promoted(1, 2), (1, True), *_promoted(3)], [1]),
        ([*_promoted(1, 2, 3), (2, True), *_promoted(3)], [2, 1]),
        ([*_promoted(1, 2, 3), (1, True), (3, True)], [1]),
    ],
)
def test_each_rollback_goes_further_back(moves: list[tuple[int, bool]], steps: list[int]) -> None:
    assert _steps(moves) == steps


def test_after_a_move_by_hand_all_of_the_chain_is_behind() -> None:
    assert way_back([1, 2, 3], 9) == [3, 2, 1]
    assert way_back([], None) == []


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=25))
def test_going_back_ends_for_every_history(moves: list[tuple[int, bool]]) -> None:
    assert len(_steps(moves)) < max(len(moves), 1)


def _journal_after(moves: Sequence[Move]) -> Journal:
    """Write the journal of each move, as a switch does."""
    journal: Journal | None = None
    for number, (digest, is_return) in enumerate(moves):
        goes_back = is_return and is_behind(chain(moves[:number]), digest)
        words = {"promotion": number, "to_digest": digest, "release": number, "at": "now"}
        new = (
            journal.following(**words, is_return=goes_back)  # type: ignore[arg-type]
            if journal
            else first_journal(generation=1, from_digest=None, **words)  # type: ignore[arg-type]
        )
        journal = Journal.from_json(capped(new).to_json())
    assert journal is not None
    return journal


@given(_moves(4, MAX_HISTORY + 5))
def test_the_journal_knows_the_same_way_back(moves: list[Move]) -> None:
    journal, shown = _journal_after(moves), chain(moves)

    known = journal.chain(moves[-1][0])

    assert known == shown[len(shown) - len(known) :]
    if len(moves) <= MAX_HISTORY:
        assert known == shown


@given(_moves(60, 90))
def test_a_journal_that_is_full_forgets_only_the_far_end(moves: list[Move]) -> None:
    journal, shown = _journal_after(moves), chain(moves)

    known = journal.chain(moves[-1][0])

    assert known == shown[len(shown) - len(known) :]
    assert len(journal.history) <= MAX_HISTORY
    assert len(journal.base) <= MAX_HISTORY


def test_a_long_way_back_is_known_after_many_turns_to_and_fro() -> None:
    moves = [(f"{number:064d}", False) for number in range(5)]
    for _ in range(MAX_HISTORY):
        moves += [("a" * 64, False), (f"{4:064d}", True)]

    known = _journal_after(moves).chain(moves[-1][0])

    assert known == [f"{number:064d}" for number in range(5)]
