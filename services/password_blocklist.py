"""Recognise passwords that are tried first: common words, walks over the keyboard, names.

A password is cut into the pieces an attacker would guess: known words, what is known about the
account, years, sequences, repetitions. What is left counts a point for each character. A long
password with few points is a short one in disguise.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from services.password_words import COMMON_PASSWORDS, COMMON_WORDS

MIN_POINTS = 7
MIN_POINTS_SHORT = 5
SHORT_LENGTH = 15
_WORD_POINTS = 2
_MIN_WORD_LENGTH = 3
_MIN_RUN_LENGTH = 3
_SYMBOL_SWAPS = str.maketrans("@!|$+", "aiist")
_DIGIT_SWAPS = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b"}
_DIGIT_IN_WORD = re.compile(r"(?<=[a-z])[0134578](?=[a-z])")
_OTHER_SIGNS = re.compile(r"[\W_]+")
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "a1b2c3d4e5f6g7h8i9",
)
_WALKS = _ROWS + tuple(row[::-1] for row in _ROWS)
_YEAR = re.compile(r"(19[4-9]\d|20[0-4]\d)")


def is_guessable(password: str, names: Sequence[str] = ()) -> bool:
    """Tell whether `password` is common, or made of little more than common pieces.

    Args:
        password: in NFKC form.
        names: what is known about the account; an e-mail address counts with its parts.
    """
    forms = _forms(password.casefold())
    if forms & COMMON_PASSWORDS:
        return True
    words = _known_words(names)
    enough = MIN_POINTS_SHORT if len(password) < SHORT_LENGTH else MIN_POINTS
    signs = len({sign for sign in password if _OTHER_SIGNS.fullmatch(sign)}) // 2
    return any(_points(form, words) + signs < enough for form in forms)


def _forms(lowered: str) -> set[str]:
    """Return the password without its decoration: other signs, letters swapped for look-alikes."""
    swapped = _OTHER_SIGNS.sub("", lowered.translate(_SYMBOL_SWAPS))
    spelled = _DIGIT_IN_WORD.sub(lambda match: _DIGIT_SWAPS[match[0]], swapped)
    return {_OTHER_SIGNS.sub("", lowered), swapped, spelled}


def _known_words(names: Sequence[str]) -> frozenset[str]:
    parts: set[str] = set()
    for name in names:
        parts.update(_OTHER_SIGNS.split(name.casefold()))
        parts.add(_OTHER_SIGNS.sub("", name.casefold()))
    return COMMON_WORDS | {part for part in parts if len(part) >= _MIN_WORD_LENGTH}


def _points(text: str, words: frozenset[str]) -> int:
    """Return the least number of points over all ways to cut `text` into pieces."""
    longest = max(*map(len, words), len(text) // 2)
    best = [0] + [len(text) + 1] * len(text)
    for end in range(1, len(text) + 1):
        best[end] = best[end - 1] + 1
        for start in range(max(0, end - longest), end - _MIN_RUN_LENGTH + 1):
            piece = text[start:end]
            cost = _piece_points(piece, words, text[:start])
            if cost is not None:
                best[end] = min(best[end], best[start] + cost)
    return best[-1]


def _piece_points(piece: str, words: frozenset[str], before: str) -> int | None:
    """Return what one piece is worth, or None when nothing is known about it."""
    if piece in before:
        return 1
    if piece in words or piece[::-1] in words:
        return _WORD_POINTS
    if _is_run(piece) or _YEAR.fullmatch(piece):
        return 1
    return None


@lru_cache(maxsize=4096)
def _is_run(piece: str) -> bool:
    return len(set(piece)) == 1 or any(piece in walk for walk in _WALKS)
