import pytest
from argon2 import PasswordHasher

from core.errors import InvalidInputError
from services.passwords import check_strength, hash_password, verify
from tests.people import PASSWORD


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Passw0rdPassw0rd2026",
        "P@ssw0rd!P@ssw0rd!",
        "Adm1n1strat0r2026!!!",
        "aaaaaaaaaaaaaaaa",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc4rfv",
        "123456789012345",
        "correct horse battery staple",
        "Summer2026Welcome!",
        "ana.mueller.2026!",
        "ana-ana-ana-ana-ana",
        "relevo-relevo-relevo",
        "abcabcabcabcabcabc",
        "letmeinletmein1234",
        "................",
        "!@#$%^&*()_+!@#$%^&*()_+",
        "The Quick Brown Fox Jumps Over The Lazy Dog",
        "drowssapdrowssap1",
    ],
)
def test_a_password_that_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_strength(password, pointer="/password", names=("ana", "ana.mueller@example.org"))

    assert [error.code for error in refusal.value.errors] == ["guessable"]
    assert password not in refusal.value.detail + refusal.value.errors[0].message


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "tortoise-velvet-crane-81",
        "mein hund frisst gerne Socken",
        "zebra lamp quietly singing",
        "x7!kd-92jfa-qqp0",
        "Ein langes Passwort für Ana 77",
        "пароль из нескольких слов",
        "長い長い長いパスワードですよね本当に",
        "~%§=?!&/()#'*+<>|;:,._-^°",
        "k" + "velvet tortoise crane " * 3,
    ],
)
def test_a_long_uncommon_password_needs_no_special_characters(password: str) -> None:
    check_strength(password, pointer="/password", names=("ana", "ana@example.org"))


@pytest.mark.parametrize(
    ("password", "has_totp", "code"),
    [
        ("velvet crane 8", False, "too_short"),
        ("kP9#vQ2", True, "too_short"),
        ("password1", True, "guessable"),
        ("vkq9-" * 52, False, "too_long"),
    ],
)
def test_the_length_is_bounded(password: str, has_totp: bool, code: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_strength(password, pointer="/password", has_totp=has_totp)

    assert [error.code for error in refusal.value.errors] == [code]


def test_a_second_factor_allows_eight_characters() -> None:
    check_strength("kP9#vQ2x", pointer="/password", has_totp=True)


def test_the_same_password_from_another_keyboard_is_right() -> None:
    stored = hash_password("fünf weiße Ängste")

    assert verify(stored, "fu\u0308nf weiße A\u0308ngste").right


def test_passwords_differ_after_the_seventy_second_byte() -> None:
    stored = hash_password("x" * 80 + "1")

    assert not verify(stored, "x" * 80 + "2").right


def test_nothing_matches_a_missing_hash() -> None:
    assert not verify(None, PASSWORD).right


def test_a_broken_hash_is_a_wrong_password() -> None:
    assert not verify("not a hash", PASSWORD).right


def test_an_endless_password_is_wrong() -> None:
    assert not verify(hash_password(PASSWORD), PASSWORD + " " * 10_000_000).right


def test_a_hash_of_weaker_parameters_is_outdated() -> None:
    weak = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1)

    verdict = verify(weak.hash(PASSWORD), PASSWORD)

    assert verdict.right
    assert verdict.outdated


def test_hashes_are_argon2id_with_nineteen_mebibytes() -> None:
    assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
