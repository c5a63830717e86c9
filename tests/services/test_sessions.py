import threading
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
)
from models.audit import AuditEvent
from models.engine import db
from models.sessions import RefreshToken, UserSession
from models.users import User
from services import sessions
from services.actors import Via
from services.credentials import SEEN_EVERY
from services.paging import PageRequest
from services.sessions import SignedIn
from services.tokens import actor_for_token
from services.transaction import transaction
from tests.people import ADDRESS, People, find

START = "2026-03-01T12:00:00Z"


def _open(username: str = "ana") -> SignedIn:
    return sessions.open_session(user=find(username), address=ADDRESS, user_agent="x" * 999)


def _refresh(token: str) -> SignedIn:
    return sessions.refresh(refresh_token=token, address=ADDRESS, request_id=None)


def _use(signed_in: SignedIn, *, version: int = 1) -> None:
    sessions.actor_for_session(
        session_public_id=signed_in.session.public_id,
        user_id=signed_in.session.user_id,
        token_version=version,
        address=ADDRESS,
        request_id=None,
    )


def _code(signed_in: SignedIn, *, version: int = 1) -> str:
    with pytest.raises(UnauthenticatedError) as refusal:
        _use(signed_in, version=version)
    return refusal.value.code


def test_a_session_says_who_is_asking(inside: People) -> None:
    inside.user("ana", "auditor")

    actor = inside.actor("ana")

    assert (actor.via, actor.username, actor.role) == (Via.SESSION, "ana", "auditor")
    assert actor.holds("audit:read")
    assert actor.sees_all_sites


def test_a_refresh_token_is_replaced_by_the_next_one(inside: People) -> None:
    inside.user("ana")
    first = _open()

    second = _refresh(first.refresh_token)

    assert second.session.id == first.session.id
    assert second.refresh_token != first.refresh_token
    assert _refresh(second.refresh_token).session.id == first.session.id


def test_a_refresh_token_used_a_moment_ago_is_a_conflict_and_revokes_nothing(
    inside: People,
) -> None:
    inside.user("ana")
    first = _open()
    second = _refresh(first.refresh_token)

    with pytest.raises(ConflictError) as refusal:
        _refresh(first.refresh_token)

    assert refusal.value.code is ErrorCode.REFRESH_CONFLICT
    _refresh(second.refresh_token)


def test_a_refresh_token_used_again_later_ends_the_session(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        first = _open()
        second = _refresh(first.refresh_token)
        clock.shift(sessions.REFRESH_GRACE + timedelta(seconds=1))

        with pytest.raises(UnauthenticatedError) as refusal:
            _refresh(first.refresh_token)

        assert refusal.value.code is ErrorCode.REFRESH_REUSED
        assert _code(first) == ErrorCode.TOKEN_REVOKED
        with pytest.raises(UnauthenticatedError) as successor:
            _refresh(second.refresh_token)
        assert successor.value.code is ErrorCode.REFRESH_INVALID
    actions = db.session.scalars(select(AuditEvent.action)).all()
    assert "session.reuse_detected" in actions


def test_of_parallel_refreshes_one_wins(people: People) -> None:
    people.user("ana")
    with people.app.app_context():
        token = _open().refresh_token
    outcomes: list[str] = []

    def attempt() -> None:
        with people.app.app_context():
            try:
                _refresh(token)
            except DomainError as refusal:
                outcomes.append(refusal.code)
            else:
                outcomes.append("won")

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [ErrorCode.REFRESH_CONFLICT] * 7 + ["won"]


@pytest.mark.parametrize("token", ["", "x", "0" * 43])
def test_an_unknown_refresh_token_is_refused(inside: People, token: str) -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        _refresh(token)

    assert refusal.value.code is ErrorCode.REFRESH_INVALID


def test_a_refresh_token_expires(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        token = _open().refresh_token
        clock.shift(timedelta(days=14, seconds=1))

        with pytest.raises(UnauthenticatedError) as refusal:
            _refresh(token)

    assert refusal.value.code is ErrorCode.REFRESH_INVALID


def test_a_session_ends_however_often_it_is_refreshed(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        signed_in = _open()
        for _ in range(8):
            clock.shift(timedelta(days=10))
            signed_in = _refresh(signed_in.refresh_token)
        clock.shift(timedelta(days=9))
        signed_in = _refresh(signed_in.refresh_token)
        assert signed_in.session.expires_at == utc_now() + timedelta(days=1)
        clock.shift(timedelta(days=1))

        with pytest.raises(UnauthenticatedError) as refusal:
            _refresh(signed_in.refresh_token)

        assert refusal.value.code is ErrorCode.REFRESH_INVALID
        assert _code(signed_in) == ErrorCode.TOKEN_EXPIRED


def test_a_deactivated_user_cannot_refresh(inside: People) -> None:
    inside.user("ana")
    token = _open().refresh_token
    with transaction() as session:
        session.execute(update(User).where(User.username == "ana").values(is_active=False))

    with pytest.raises(UnauthenticatedError) as refusal:
        _refresh(token)

    assert refusal.value.code is ErrorCode.REFRESH_INVALID


def test_the_refresh_token_is_kept_as_a_hash(inside: People) -> None:
    inside.user("ana")

    token = _open().refresh_token

    assert token not in db.session.scalars(select(RefreshToken.token_hash)).all()


def test_an_access_token_stops_working_when_its_session_does(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        ended, expired, old, stranger = _open(), _open(), _open(), _open()
        inside.user("bob")
        sessions.end_own_session(actor=inside.actor("ana"), public_id=ended.session.public_id)

        assert _code(ended) == ErrorCode.TOKEN_REVOKED
        assert _code(old, version=2) == ErrorCode.TOKEN_REVOKED
        stranger.session.user_id = find("bob").id
        assert _code(stranger) == ErrorCode.TOKEN_INVALID
        stranger.session.public_id = "unknown"
        assert _code(stranger) == ErrorCode.TOKEN_INVALID
        db.session.rollback()
        clock.shift(timedelta(days=15))
        assert _code(expired) == ErrorCode.TOKEN_EXPIRED


def test_logging_out_everywhere_ends_every_session(inside: People) -> None:
    inside.user("ana")
    first, second = _open(), _open()

    sessions.log_out_everywhere(actor=inside.actor("ana"))

    assert _code(first) == ErrorCode.TOKEN_REVOKED
    assert _code(second) == ErrorCode.TOKEN_REVOKED


def test_logging_out_ends_only_the_session_in_use(inside: People) -> None:
    inside.user("ana")
    other = _open()

    sessions.log_out(actor=inside.actor("ana"))

    _use(other)
    assert sessions.own_sessions(actor=inside.actor("ana"), page=PageRequest()).total == 2


def test_somebody_else_s_session_does_not_exist(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    foreign = _open("bob")

    with pytest.raises(NotFoundError):
        sessions.end_own_session(actor=inside.actor("ana"), public_id=foreign.session.public_id)

    _use(foreign)


def test_a_token_has_no_sessions(inside: People) -> None:
    inside.user("ana")
    view = inside.token("ana", scopes=["requests:read"])
    token_actor = actor_for_token(token=view.token or "", address=ADDRESS, request_id=None)

    with pytest.raises(ForbiddenError) as refusal:
        sessions.own_sessions(actor=token_actor, page=PageRequest())

    assert refusal.value.code is ErrorCode.SESSION_REQUIRED


def test_a_long_user_agent_is_cut(inside: People) -> None:
    inside.user("ana")

    assert len(_open().session.user_agent or "") == sessions.MAX_USER_AGENT


def test_last_seen_is_written_at_most_once_a_minute(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        signed_in = _open()
        made_at = signed_in.session.last_seen_at
        clock.shift(SEEN_EVERY - timedelta(seconds=1))
        _use(signed_in)
        early = _last_seen(signed_in)
        clock.shift(timedelta(seconds=2))
        _use(signed_in)

        assert early == made_at
        assert _last_seen(signed_in) == utc_now()


def test_a_busy_writer_neither_delays_nor_fails_a_request(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        signed_in = _open()
        before = _last_seen(signed_in)
        clock.shift(timedelta(minutes=2))

        with transaction() as session:
            mine = UserSession.id == signed_in.session.id
            session.execute(update(UserSession).where(mine).values(user_agent="busy"))
            _use(signed_in)

        assert _last_seen(signed_in) == before


def _last_seen(signed_in: SignedIn) -> object:
    db.session.rollback()
    return db.session.scalar(
        select(UserSession.last_seen_at).where(UserSession.id == signed_in.session.id)
    )
