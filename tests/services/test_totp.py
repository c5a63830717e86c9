import time

import pyotp
import pytest
import time_machine
from sqlalchemy import select

from core.errors import ConflictError, ErrorCode, ForbiddenError, InvalidInputError, NotFoundError
from models.audit import AuditEvent
from models.engine import db
from models.users import RecoveryCode
from services import roles, totp
from services.actors import Actor, system_actor
from services.password_changes import change_own_password
from services.roles import RoleChange
from services.tokens import actor_for_token
from tests.people import ADDRESS, OTHER_PASSWORD, PASSWORD, People, find


def _enable(actor: Actor) -> tuple[str, list[str]]:
    secret = totp.begin(actor=actor).secret
    return secret, list(totp.confirm(actor=actor, otp=pyotp.TOTP(secret).now()))


def test_a_factor_counts_only_after_it_was_confirmed(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    enrolment = totp.begin(actor=actor)
    assert not find("ana").totp_enabled

    assert f"secret={enrolment.secret}" in enrolment.otpauth_uri
    codes = totp.confirm(actor=actor, otp=pyotp.TOTP(enrolment.secret).now())

    assert find("ana").totp_enabled
    assert len(set(codes)) == 10


def test_a_wrong_code_confirms_nothing(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    with pytest.raises(InvalidInputError):
        totp.confirm(actor=actor, otp="123456")
    totp.begin(actor=actor)

    for otp in ("000000", "", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "abcdef"):
        with pytest.raises(InvalidInputError):
            totp.confirm(actor=actor, otp=otp)

    assert not find("ana").totp_enabled


def test_a_factor_is_replaced_only_after_it_was_removed(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    secret, _ = _enable(actor)

    with pytest.raises(ConflictError):
        totp.begin(actor=actor)
    with pytest.raises(ConflictError):
        totp.confirm(actor=actor, otp=pyotp.TOTP(secret).now())
    totp.remove_own(actor=actor, password=PASSWORD)

    _enable(actor)


def test_removing_forgets_secret_and_codes(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    _enable(actor)

    totp.remove_own(actor=actor, password=PASSWORD)

    assert find("ana").totp_secret is None
    assert db.session.scalars(select(RecoveryCode)).all() == []
    with pytest.raises(NotFoundError):
        totp.remove_own(actor=actor)


@pytest.mark.parametrize(
    ("proof", "pointer"),
    [
        ({}, "/password"),
        ({"password": OTHER_PASSWORD}, "/password"),
        ({"otp": "000000"}, "/otp"),
        ({"otp": "000000", "password": PASSWORD}, "/otp"),
    ],
)
def test_a_session_alone_removes_no_factor(
    inside: People, proof: dict[str, str], pointer: str
) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    _enable(actor)

    with pytest.raises(InvalidInputError) as refusal:
        totp.remove_own(actor=actor, **proof)

    assert [error.pointer for error in refusal.value.errors] == [pointer]
    assert find("ana").totp_enabled


def test_a_recovery_code_removes_the_factor(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    _, codes = _enable(actor)

    totp.remove_own(actor=actor, otp=codes[0])

    assert not find("ana").totp_enabled


def test_what_was_only_begun_is_removed_without_proof(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    totp.begin(actor=actor)

    totp.remove_own(actor=actor)

    assert find("ana").totp_secret is None


def test_the_last_administrator_keeps_the_factor_that_the_role_demands(inside: People) -> None:
    actor = inside.actor("root")
    _enable(actor)
    change = RoleChange(requires_totp=True)
    roles.update_role(actor=system_actor(), name="admin", change=change)

    with pytest.raises(ConflictError) as refusal:
        totp.remove_own(actor=actor, password=PASSWORD)

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert find("root").totp_enabled


def test_a_token_changes_no_second_factor(inside: People) -> None:
    inside.user("ana")
    token = inside.token("ana", scopes=["requests:read"]).token
    actor = actor_for_token(token=token or "", address=ADDRESS, request_id=None)

    for attempt in (
        lambda: totp.begin(actor=actor),
        lambda: totp.confirm(actor=actor, otp="000000"),
        lambda: totp.remove_own(actor=actor),
    ):
        with pytest.raises(ForbiddenError) as refusal:
            attempt()
        assert refusal.value.code is ErrorCode.SESSION_REQUIRED


def test_secret_and_codes_are_not_in_clear_in_the_database(inside: People) -> None:
    inside.user("ana")

    secret, codes = _enable(inside.actor("ana"))

    assert secret not in (find("ana").totp_secret or "")
    hashes = "".join(db.session.scalars(select(RecoveryCode.code_hash)))
    assert not any(code.replace("-", "") in hashes for code in codes)


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-60, False), (-30, True), (30, True), (60, False)]
)
def test_a_clock_may_be_one_step_off(inside: People, seconds: int, accepted: bool) -> None:
    inside.user("ana")
    with time_machine.travel("2026-03-01T12:00:15Z", tick=False) as clock:
        secret, _ = _enable(inside.actor("ana"))
        clock.shift(600)
        code = pyotp.TOTP(secret).at(int(time.time()) + seconds)

        assert totp.accept_code(user=find("ana"), otp=code) is accepted


def test_an_older_step_is_refused_after_a_newer_one(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel("2026-03-01T12:00:15Z", tick=False) as clock:
        secret, _ = _enable(inside.actor("ana"))
        clock.shift(600)
        now = int(time.time())

        assert totp.accept_code(user=find("ana"), otp=pyotp.TOTP(secret).at(now))
        assert not totp.accept_code(user=find("ana"), otp=pyotp.TOTP(secret).at(now - 30))


def test_a_password_too_short_to_stand_alone_keeps_its_factor(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    _enable(actor)
    change_own_password(actor=actor, current_password=PASSWORD, new_password="kP9#vQ2x")

    with pytest.raises(InvalidInputError):
        totp.remove_own(actor=actor)
    change_own_password(actor=actor, current_password="kP9#vQ2x", new_password=OTHER_PASSWORD)
    totp.remove_own(actor=actor, password=OTHER_PASSWORD)


def test_a_lost_factor_is_removed_from_the_command_line(inside: People) -> None:
    inside.user("ana")
    _enable(inside.actor("ana"))

    totp.remove_of(actor=system_actor(), user=find("ana"))

    assert not find("ana").totp_enabled
    last = db.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert last is not None
    assert last.action == "totp.disabled"
