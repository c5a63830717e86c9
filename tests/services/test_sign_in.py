import time

import pyotp
import pytest
import time_machine
from argon2 import PasswordHasher

from core.errors import DomainError, ErrorCode, UnauthenticatedError
from services import totp
from services.actors import system_actor
from services.audit_trail import list_events
from services.paging import CursorRequest
from services.sign_in import Client, check_password, sign_in
from tests.people import ADDRESS, PASSWORD, People, find

CLIENT = Client(address=ADDRESS, user_agent="test", request_id="request-1")


def _sign_in(username: str = "ana", password: str = PASSWORD, otp: str | None = None) -> None:
    sign_in(username=username, password=password, otp=otp, client=CLIENT)


def _refusal(username: str = "ana", password: str = PASSWORD, otp: str | None = None) -> str:
    with pytest.raises(UnauthenticatedError) as refusal:
        _sign_in(username, password, otp)
    return refusal.value.code


def _enable_totp(people: People, username: str) -> tuple[str, list[str]]:
    actor = people.actor(username)
    secret = totp.begin(actor=actor).secret
    return secret, list(totp.confirm(actor=actor, otp=pyotp.TOTP(secret).now()))


@pytest.mark.parametrize("login", ["ana", "ANA", " ana ", "ana@example.org", "Ana@Example.ORG"])
def test_a_name_or_an_address_and_the_password_open_a_session(inside: People, login: str) -> None:
    inside.user("ana")

    signed_in = sign_in(username=login, password=PASSWORD, otp=None, client=CLIENT)

    assert signed_in.user.username == "ana"
    assert signed_in.session.address == ADDRESS
    assert find("ana").last_login_at is not None


def test_both_names_of_an_account_count_together(inside: People) -> None:
    inside.user("ana")
    names = ["ana", " ana", "ana@example.org", " Ana@Example.org", "ANA"]

    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        codes = [_failure(names[number % len(names)]) for number in range(12)]

    assert codes[:8] == [ErrorCode.INVALID_CREDENTIALS] * 8
    assert codes[8:] == [ErrorCode.LOGIN_THROTTLED] * 4


def _failure(username: str) -> ErrorCode:
    with pytest.raises(DomainError) as refusal:
        _sign_in(username, "wrong")
    return refusal.value.code


def test_every_failure_has_the_same_answer(inside: People) -> None:
    inside.user("ana")
    inside.user("off", is_active=False)
    inside.user("new", password_hash=None)
    attempts = [("ana", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("new", PASSWORD)]

    refusals = []
    for username, password in attempts:
        with pytest.raises(UnauthenticatedError) as refusal:
            _sign_in(username, password)
        refusals.append((refusal.value.code, refusal.value.detail, refusal.value.members))

    assert refusals == [refusals[0]] * 4
    assert refusals[0][0] is ErrorCode.INVALID_CREDENTIALS


def test_a_refused_attempt_is_in_the_trail_without_the_name_typed(inside: People) -> None:
    _refusal("my secret password by mistake")

    event = list_events(actor=system_actor(), page=CursorRequest()).items[0].event
    assert (event.action, event.target_id, event.user_id) == ("session.refused", "unknown", None)
    assert event.address == ADDRESS


def test_an_outdated_hash_is_made_anew(inside: People) -> None:
    weak = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(PASSWORD)
    inside.user("ana", password_hash=weak)

    _sign_in()

    assert "m=19456" in (find("ana").password_hash or "")


def test_a_second_factor_is_asked_for_only_after_a_right_password(inside: People) -> None:
    inside.user("ana")
    secret, _ = _enable_totp(inside, "ana")

    assert _refusal(password="wrong") == ErrorCode.INVALID_CREDENTIALS
    assert _refusal() == ErrorCode.OTP_REQUIRED
    assert _refusal(otp="000000") == ErrorCode.INVALID_CREDENTIALS
    with time_machine.travel(_in_seconds(60)):
        _sign_in(otp=pyotp.TOTP(secret).now())


def test_a_code_works_once(inside: People) -> None:
    inside.user("ana")
    secret, _ = _enable_totp(inside, "ana")

    with time_machine.travel(_in_seconds(60), tick=False):
        code = pyotp.TOTP(secret).now()
        _sign_in(otp=code)

        assert _refusal(otp=code) == ErrorCode.INVALID_CREDENTIALS


def test_the_code_that_confirmed_the_factor_does_not_sign_in(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        secret, _ = _enable_totp(inside, "ana")

        assert _refusal(otp=pyotp.TOTP(secret).now()) == ErrorCode.INVALID_CREDENTIALS


def test_a_recovery_code_works_once_however_it_is_typed(inside: People) -> None:
    inside.user("ana")
    _, codes = _enable_totp(inside, "ana")

    _sign_in(otp=codes[0].upper().replace("-", " "))

    assert len(codes) == 10
    assert _refusal(otp=codes[0]) == ErrorCode.INVALID_CREDENTIALS


def test_asking_for_the_code_does_not_reset_the_count_of_wrong_ones(inside: People) -> None:
    inside.user("ana")
    _enable_totp(inside, "ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        codes = set()
        for _ in range(30):
            codes.add(_outcome(otp=None))
            codes.add(_outcome(otp="000000"))

    assert ErrorCode.LOGIN_THROTTLED in codes


def test_wrong_codes_count_for_the_account_from_any_address(inside: People) -> None:
    inside.user("ana")
    _enable_totp(inside, "ana")

    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        outcomes = [_outcome(otp="000000", address=f"192.0.2.{number}") for number in range(12)]

    assert outcomes.count(ErrorCode.INVALID_CREDENTIALS) == 8
    assert outcomes[-1] == ErrorCode.LOGIN_THROTTLED


def test_basic_authentication_takes_the_password_but_no_second_factor(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    _enable_totp(inside, "bob")

    answers = [
        check_password(username=username, password=password, address=ADDRESS)
        for username, password in [("ana", PASSWORD), ("ana", "wrong"), ("bob", PASSWORD)]
    ]

    assert answers == [True, False, False]


def test_a_deactivated_user_cannot_use_basic_authentication(inside: People) -> None:
    inside.user("off", is_active=False)

    assert not check_password(username="off", password=PASSWORD, address=ADDRESS)


def _outcome(*, otp: str | None, address: str = ADDRESS) -> str:
    client = Client(address=address)
    try:
        sign_in(username="ana", password=PASSWORD, otp=otp, client=client)
    except DomainError as refusal:
        return refusal.code
    return "signed in"


def _in_seconds(seconds: int) -> float:
    return time.time() + seconds
