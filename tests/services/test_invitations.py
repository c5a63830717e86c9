import threading
from datetime import timedelta

import pyotp
import pytest
import time_machine
from sqlalchemy import select

from core.errors import DomainError, ErrorCode, InvalidInputError, UnauthenticatedError
from models.engine import db
from models.users import OneTimeToken
from services import invitations, totp
from services.actors import system_actor
from services.invitations import LinkKind
from services.passwords import verify
from services.sign_in import Client, sign_in
from tests.people import ADDRESS, OTHER_PASSWORD, People, find

START = "2026-03-01T12:00:00Z"


def _link(username: str = "ana", kind: LinkKind = LinkKind.RESET) -> str:
    link = invitations.make_link(actor=system_actor(), user=find(username), kind=kind)
    return link.url.partition("#token=")[2]


def _reset(token: str, password: str = OTHER_PASSWORD) -> None:
    invitations.reset_password(token=token, new_password=password, address=ADDRESS, request_id=None)


def _code(token: str) -> str:
    with pytest.raises(UnauthenticatedError) as refusal:
        _reset(token)
    return refusal.value.code


def test_a_link_sets_the_password_once_and_ends_the_sessions(inside: People) -> None:
    inside.user("ana")
    token = _link()

    _reset(token)

    assert verify(find("ana").password_hash, OTHER_PASSWORD).right
    assert find("ana").token_version == 2
    assert _code(token) == ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize(
    ("kind", "lifetime"),
    [(LinkKind.INVITATION, timedelta(days=7)), (LinkKind.RESET, timedelta(minutes=30))],
)
def test_a_link_expires(inside: People, kind: LinkKind, lifetime: timedelta) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        early, late = _link(kind=kind), ""
        clock.shift(lifetime)

        assert _code(early) == ErrorCode.TOKEN_EXPIRED
        late = _link(kind=kind)
        clock.shift(lifetime - timedelta(seconds=1))
        _reset(late)


def test_a_new_link_ends_the_ones_before(inside: People) -> None:
    inside.user("ana")
    first = _link()

    _link()

    assert _code(first) == ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize("token", ["", "x", "0" * 43])
def test_an_unknown_link_is_refused(inside: People, token: str) -> None:
    assert _code(token) == ErrorCode.TOKEN_INVALID


def test_a_link_of_a_deactivated_user_is_refused(inside: People) -> None:
    inside.user("ana", is_active=False)

    assert _code(_link()) == ErrorCode.TOKEN_INVALID


def test_a_weak_password_leaves_the_link_usable(inside: People) -> None:
    inside.user("ana")
    token = _link()

    with pytest.raises(InvalidInputError):
        _reset(token, "password1234567")

    _reset(token)


def test_a_link_does_not_pass_the_second_factor(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    secret = totp.begin(actor=actor).secret
    totp.confirm(actor=actor, otp=pyotp.TOTP(secret).now())

    _reset(_link())

    with pytest.raises(UnauthenticatedError) as refusal:
        sign_in(username="ana", password=OTHER_PASSWORD, otp=None, client=Client(address=ADDRESS))
    assert refusal.value.code is ErrorCode.OTP_REQUIRED


def test_the_link_is_kept_as_a_hash(inside: People) -> None:
    inside.user("ana")

    token = _link()

    assert token not in db.session.scalars(select(OneTimeToken.token_hash)).all()


def test_of_parallel_uses_one_wins(people: People) -> None:
    people.user("ana")
    with people.app.app_context():
        token = _link()
    outcomes: list[str] = []

    def use() -> None:
        with people.app.app_context():
            try:
                _reset(token)
            except DomainError as refusal:
                outcomes.append(refusal.code)
            else:
                outcomes.append("done")

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("done") == 1
