import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from core.errors import ErrorCode, ThrottledError
from models.engine import db
from models.sessions import LoginAttempt
from services import throttle
from tests.people import People

START = "2026-03-01T12:00:00Z"


def _key(account: str = "ana", address: str | None = "192.0.2.1") -> str:
    return throttle.attempt_key(purpose="login", account=account, address=address)


@pytest.mark.parametrize("account", ["ANA", " ana ", "a n a", "\uff41\uff4e\uff41", "Ana\t"])
def test_spelling_a_name_differently_counts_for_the_same_account(account: str) -> None:
    assert _key(account) == _key("ana")


def test_another_account_or_address_is_another_count() -> None:
    keys = {_key(), _key("bob"), _key(address="192.0.2.2"), _key(address=None)}

    assert len(keys) == 4


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert _key(address="2001:db8::1") == _key(address="2001:db8::ffff:2")
    assert _key(address="2001:db8::1") != _key(address="2001:db8:0:1::1")
    assert _key(address="::ffff:192.0.2.1") == _key(address="192.0.2.1")


def test_the_delay_grows_and_never_locks(inside: People) -> None:
    delays = [throttle.delay_after(failures).total_seconds() for failures in range(1, 15)]

    assert delays[:8] == [0, 0, 0, 0, 0, 0, 0, 1]
    assert delays == sorted(delays)
    assert max(delays) == throttle.MAX_DELAY_SECONDS


def test_no_more_than_the_limit_passes_in_its_window(inside: People) -> None:
    passed = 0

    with time_machine.travel(START, tick=False) as clock:
        for _ in range(240):
            passed += _passes()
            clock.shift(0.25)

    assert passed == 10


def test_a_success_forgets_the_failures(inside: People) -> None:
    with time_machine.travel(START, tick=False):
        for _ in range(7):
            throttle.claim(_key())

        throttle.forgive(throttle.claim(_key()))

        assert db.session.scalar(select(func.count()).select_from(LoginAttempt)) == 0


def test_a_claim_given_back_leaves_the_failures(inside: People) -> None:
    with time_machine.travel(START, tick=False):
        for _ in range(7):
            throttle.claim(_key())

        for _ in range(5):
            throttle.give_back(throttle.claim(_key()))

        row = db.session.get(LoginAttempt, _key(), populate_existing=True)
        assert row is not None
        assert row.failures == 7


def test_failures_are_forgotten_after_a_quiet_time(inside: People) -> None:
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(8):
            throttle.claim(_key())
        clock.shift(throttle.FORGET_AFTER + timedelta(seconds=1))

        throttle.claim(_key())

        row = db.session.get(LoginAttempt, _key(), populate_existing=True)
        assert row is not None
        assert row.failures == 1


def test_a_refusal_says_when_to_come_back(inside: People) -> None:
    with time_machine.travel(START, tick=False):
        for _ in range(8):
            throttle.claim(_key())

        with pytest.raises(ThrottledError) as refusal:
            throttle.claim(_key())

    assert refusal.value.code is ErrorCode.LOGIN_THROTTLED
    assert refusal.value.retry_after_seconds in (1, 2)


def test_parallel_attempts_do_not_pass_together(people: People) -> None:
    passed: list[bool] = []

    def attempt() -> None:
        with people.app.app_context():
            passed.append(_passes())

    _in_parallel(attempt, times=60)

    assert sum(passed) <= 10


def _passes() -> bool:
    try:
        throttle.claim(_key())
    except ThrottledError:
        return False
    return True


def _in_parallel(work: Callable[[], None], *, times: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
