import threading
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from models.audit import AuditEvent
from models.engine import db
from models.users import User
from services import users
from services.actors import system_actor
from services.paging import PageRequest
from services.passwords import verify
from services.permissions import RoleKind
from services.roles import RoleChange, create_role
from services.tokens import actor_for_token
from services.users import UserChange, UserFilter
from tests.people import ADDRESS, OTHER_PASSWORD, People, find

HR = ["users:read", "users:write", "requests:read", "requests:write"]


def _hr(people: People) -> None:
    """Make a role that manages people and nothing else."""
    change = RoleChange(permissions=HR)
    create_role(actor=system_actor(), name="hr", kind=RoleKind.GLOBAL, change=change)


def test_a_user_without_a_password_is_invited(inside: People) -> None:
    new = users.create_user(actor=inside.actor("root"), username="ana", email="Ana@Example.org")

    assert new.user.email == "ana@example.org"
    assert new.user.role.name == "member"
    assert new.user.password_hash is None
    assert "/reset#token=" in (new.invitation_url or "")


def test_a_user_with_a_password_needs_no_invitation(inside: People) -> None:
    new = users.create_user(
        actor=inside.actor("root"), username="ana", email="a@b.org", password=OTHER_PASSWORD
    )

    assert new.invitation_url is None
    assert verify(new.user.password_hash, OTHER_PASSWORD).right


@pytest.mark.parametrize(
    ("username", "email"), [("ana", "other@example.org"), ("other", "ANA@example.org")]
)
def test_names_and_addresses_are_unique(inside: People, username: str, email: str) -> None:
    inside.user("ana")

    with pytest.raises(ConflictError) as refusal:
        users.create_user(actor=inside.actor("root"), username=username, email=email)

    assert refusal.value.code is ErrorCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"username": "Ana"}, "/username"),
        ({"username": "-ana"}, "/username"),
        ({"username": "a" * 41}, "/username"),
        ({"username": "ana\n"}, "/username"),
        ({"email": "nobody"}, "/email"),
        ({"email": "a b@example.org"}, "/email"),
        ({"role": "nonsense"}, "/role"),
        ({"role": "owner"}, "/role"),
        ({"password": "short"}, "/password"),
    ],
)
def test_a_bad_field_is_named(inside: People, fields: dict[str, str], pointer: str) -> None:
    wanted: dict[str, Any] = {"username": "ana", "email": "ana@example.org", **fields}

    with pytest.raises(InvalidInputError) as refusal:
        users.create_user(actor=inside.actor("root"), **wanted)

    assert [error.pointer for error in refusal.value.errors] == [pointer]


def test_nobody_gives_a_role_that_holds_more_than_they_do(inside: People) -> None:
    _hr(inside)
    actor = inside.actor("eve", "hr")

    with pytest.raises(ForbiddenError) as refusal:
        users.create_user(actor=actor, username="ana", email="a@b.org", role="maintainer")
    users.create_user(actor=actor, username="bob", email="b@b.org")
    with pytest.raises(ForbiddenError):
        users.update_user(actor=actor, username="bob", change=UserChange(role="admin"))

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    assert db.session.scalar(select(User).where(User.username == "ana")) is None


def test_nobody_raises_themselves(inside: People) -> None:
    _hr(inside)

    with pytest.raises(ForbiddenError):
        users.update_user(
            actor=inside.actor("eve", "hr"), username="eve", change=UserChange(role="admin")
        )


def test_nobody_changes_somebody_who_holds_more(inside: People) -> None:
    _hr(inside)
    inside.user("second", "admin")
    actor = inside.actor("eve", "hr")
    changes = [UserChange(email="x@y.org"), UserChange(is_active=False), UserChange(role="member")]

    for change in changes:
        with pytest.raises(ForbiddenError) as refusal:
            users.update_user(actor=actor, username="second", change=change)
        assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    with pytest.raises(ForbiddenError):
        users.deactivate(actor=actor, username="second")


def test_oneself_is_always_readable_and_others_need_a_scope(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")

    assert users.get_user(actor=inside.actor("ana"), username="ana").username == "ana"
    with pytest.raises(NotFoundError):
        users.get_user(actor=inside.actor("ana"), username="bob")
    with pytest.raises(ForbiddenError):
        users.list_users(actor=inside.actor("ana"), page=PageRequest())
    inside.user("eve", "auditor")
    assert users.get_user(actor=inside.actor("eve"), username="bob").username == "bob"


def test_users_are_found_by_words_role_and_state(inside: People) -> None:
    inside.user("ana", "maintainer")
    inside.user("bob")
    inside.user("off", is_active=False)
    actor = inside.actor("root")

    def names(wanted: UserFilter | None = None, q: str | None = None) -> list[str]:
        page = PageRequest(sort="username", q=q)
        return [
            user.username for user in users.list_users(actor=actor, page=page, wanted=wanted).items
        ]

    assert names() == ["ana", "bob", "off", "root"]
    assert names(UserFilter(role="maintainer")) == ["ana"]
    assert names(UserFilter(is_active=False)) == ["off"]
    assert names(q="BOB@") == ["bob"]
    assert names(q="%") == []


def test_a_deactivated_user_is_out_at_once(inside: People) -> None:
    inside.user("ana")
    inside.actor("ana")

    users.deactivate(actor=inside.actor("root"), username="ana")
    users.deactivate(actor=inside.actor("root"), username="ana")

    user = find("ana")
    assert not user.is_active
    assert user.token_version == 2


def test_a_deactivated_user_can_be_brought_back(inside: People) -> None:
    inside.user("ana", is_active=False)

    users.update_user(actor=inside.actor("root"), username="ana", change=UserChange(is_active=True))

    assert find("ana").is_active


@pytest.mark.parametrize(
    "change", [UserChange(is_active=False), UserChange(role="member")], ids=["off", "demoted"]
)
def test_the_last_administrator_stays(inside: People, change: UserChange) -> None:
    inside.user("ana", "maintainer")

    with pytest.raises(ConflictError) as refusal:
        users.update_user(actor=inside.actor("root"), username="root", change=change)

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert find("root").is_active
    assert find("root").role.name == "admin"


def test_an_administrator_who_cannot_sign_in_does_not_count(inside: People) -> None:
    inside.user("invited", "admin", password_hash=None)
    inside.user("off", "admin", is_active=False)

    with pytest.raises(ConflictError):
        users.deactivate(actor=inside.actor("root"), username="root")


def test_two_administrators_cannot_remove_each_other_at_once(people: People) -> None:
    for attempt in range(5):
        names = [f"one{attempt}", f"two{attempt}"]
        for name in names:
            people.user(name, "admin")
        outcomes: list[str] = []

        def demote(actor_name: str, other: str, outcomes: list[str] = outcomes) -> None:
            with people.app.app_context():
                try:
                    users.deactivate(actor=people.actor(actor_name), username=other)
                except DomainError as refusal:
                    outcomes.append(refusal.code)
                else:
                    outcomes.append("done")

        pairs = [(names[0], names[1]), (names[1], names[0]), (names[0], "root")]
        threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with people.app.app_context():
            left = db.session.scalars(
                select(User.username).where(User.is_active, User.role.has(name="admin"))
            ).all()
        assert len(left) >= 1, outcomes
        people.user(f"root{attempt}", "admin")


def test_a_password_set_by_an_administrator_ends_the_sessions(inside: People) -> None:
    inside.user("ana")
    inside.actor("ana")

    users.update_user(
        actor=inside.actor("root"), username="ana", change=UserChange(password=OTHER_PASSWORD)
    )

    assert verify(find("ana").password_hash, OTHER_PASSWORD).right
    assert find("ana").token_version == 2


def test_a_token_changes_no_password(inside: People) -> None:
    inside.user("ana")
    token = inside.token(
        "root", scopes=["users:read", "users:write", "requests:read", "requests:write"]
    ).token
    actor = actor_for_token(token=token or "", address=ADDRESS, request_id=None)

    with pytest.raises(ForbiddenError) as refusal:
        users.update_user(actor=actor, username="ana", change=UserChange(password=OTHER_PASSWORD))

    assert refusal.value.code is ErrorCode.SESSION_REQUIRED


def test_the_own_password_needs_the_present_one(inside: People) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        users.update_user(
            actor=inside.actor("root"), username="root", change=UserChange(password=OTHER_PASSWORD)
        )

    assert refusal.value.errors[0].pointer == "/password"


def test_of_two_changes_of_the_same_version_one_wins(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("root")
    change = UserChange(email="new@example.org")
    users.update_user(actor=actor, username="ana", change=change, expected_version=1)

    with pytest.raises(PreconditionError):
        users.update_user(actor=actor, username="ana", change=change, expected_version=1)


def test_an_event_names_fields_and_never_addresses(inside: People) -> None:
    inside.user("ana")

    users.update_user(
        actor=inside.actor("root"),
        username="ana",
        change=UserChange(email="new@example.org", role="maintainer", password=OTHER_PASSWORD),
    )

    event = db.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.action == "user.updated"
    assert event.target_id == str(find("ana").id)
    assert event.before == {"role": "member"}
    assert event.after == {"email": "changed", "role": "maintainer", "password": "changed"}


def test_the_first_administrator_gets_a_password_made_up(people: People) -> None:
    with people.app.app_context():
        with pytest.raises(ConflictError):
            users.create_first_admin(username="admin", email="a@b.org", password=None)
        db.session.delete(find("root"))
        db.session.commit()

        user, generated = users.create_first_admin(
            username="admin", email="admin@localhost", password=None
        )

        assert user.role.name == "admin"
        assert verify(user.password_hash, generated or "").right
