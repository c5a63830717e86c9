import pytest

from core.errors import ErrorCode, ForbiddenError, InvalidInputError, ThrottledError
from services.actors import system_actor
from services.paging import PageRequest
from services.password_changes import change_own_password, set_password
from services.passwords import verify
from services.sessions import own_sessions
from services.tokens import actor_for_token
from tests.people import ADDRESS, OTHER_PASSWORD, PASSWORD, People, find


def test_the_session_in_use_stays_and_all_others_end(inside: People) -> None:
    inside.user("ana")
    inside.actor("ana")
    actor = inside.actor("ana")

    change_own_password(actor=actor, current_password=PASSWORD, new_password=OTHER_PASSWORD)

    assert verify(find("ana").password_hash, OTHER_PASSWORD).right
    left = own_sessions(actor=actor, page=PageRequest()).items
    assert [session.id for session in left] == [actor.session_id]


def test_the_present_password_must_be_right(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")

    with pytest.raises(InvalidInputError) as refusal:
        change_own_password(actor=actor, current_password="no", new_password=OTHER_PASSWORD)

    assert refusal.value.errors[0].pointer == "/current_password"
    assert verify(find("ana").password_hash, PASSWORD).right


def test_guessing_the_present_password_is_slowed_down(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")

    def guess() -> None:
        change_own_password(actor=actor, current_password="no", new_password=OTHER_PASSWORD)

    for _ in range(8):
        with pytest.raises(InvalidInputError):
            guess()
    with pytest.raises(ThrottledError):
        guess()


def test_a_weak_password_is_refused(inside: People) -> None:
    inside.user("ana")

    with pytest.raises(InvalidInputError) as refusal:
        change_own_password(
            actor=inside.actor("ana"), current_password=PASSWORD, new_password="ana-ana-ana-ana-ana"
        )

    assert refusal.value.errors[0].pointer == "/new_password"


def test_a_token_changes_no_password(inside: People) -> None:
    inside.user("ana")
    token = inside.token("ana", scopes=["requests:read"]).token
    actor = actor_for_token(token=token or "", address=ADDRESS, request_id=None)

    with pytest.raises(ForbiddenError) as refusal:
        change_own_password(actor=actor, current_password=PASSWORD, new_password=OTHER_PASSWORD)

    assert refusal.value.code is ErrorCode.SESSION_REQUIRED


def test_the_command_line_sets_any_password_and_ends_all_sessions(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")

    set_password(actor=system_actor(), user=find("ana"), new_password=OTHER_PASSWORD)

    assert own_sessions(actor=actor, page=PageRequest()).items == []
