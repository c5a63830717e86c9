from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from core.clock import isoformat, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from core.ids import new_api_token
from models.engine import db
from models.roles import Role
from models.tokens import ApiToken
from models.users import User
from services import tokens
from services.actors import Actor
from services.credentials import address_is_allowed
from services.paging import PageRequest
from services.permissions import TokenPreset
from services.tokens import TokenOrder, TokenState
from services.transaction import transaction
from tests.people import ADDRESS, People
from tests.threads import together

START = "2026-03-01T12:00:00Z"


def _act(token: str | None, address: str | None = ADDRESS) -> Actor:
    return tokens.actor_for_token(token=token or "", address=address, request_id=None)


def _code(token: str | None, address: str | None = ADDRESS) -> str:
    with pytest.raises(UnauthenticatedError) as refusal:
        _act(token, address)
    return refusal.value.code


def test_a_token_carries_a_part_of_its_owner_s_rights(inside: People) -> None:
    inside.user("ana", "maintainer")

    actor = _act(inside.token("ana", scopes=["sites:read"]).token)

    assert actor.holds("sites:read")
    assert not actor.holds("sites:write")
    assert not actor.holds("users:read")


def test_a_token_never_outgrows_its_owner(inside: People) -> None:
    inside.user("ana", "maintainer")
    token = inside.token("ana", scopes=["sites:read", "sites:write"]).token
    with transaction() as session:
        member = select(User.role_id).where(User.username == "ana")
        assert session.scalar(member) is not None
        session.execute(
            update(User).where(User.username == "ana").values(role_id=_role_id("member"))
        )

    assert not _act(token).holds("sites:read")


def test_nobody_makes_a_token_with_scopes_they_lack(inside: People) -> None:
    inside.user("ana")

    with pytest.raises(ForbiddenError) as refusal:
        inside.token("ana", scopes=["requests:read", "users:read"])

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    assert refusal.value.members["missing"] == ["users:read"]


def test_a_membership_lets_scopes_into_a_token_of_that_site(inside: People) -> None:
    inside.user("ana")
    inside.site("web", ana="deployer")

    actor = _act(inside.token("ana", preset=TokenPreset.DEPLOY, sites=["web"]).token)

    assert actor.token_scopes is not None
    assert "promotions:write" in actor.token_scopes
    assert len(actor.token_site_ids or ()) == 1


def test_scopes_of_one_site_do_not_go_into_a_token_of_another(inside: People) -> None:
    inside.user("ana")
    inside.site("web", ana="deployer")
    inside.site("shop", ana="reader")

    with pytest.raises(ForbiddenError) as refusal:
        inside.token("ana", preset=TokenPreset.DEPLOY, sites=["shop"])

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD


def test_the_preset_for_reading_takes_what_is_held(inside: People) -> None:
    inside.user("ana")
    inside.user("eve", "auditor")

    narrow = inside.token("ana", preset=TokenPreset.READ).row.scopes
    wide = inside.token("eve", preset=TokenPreset.READ).row.scopes

    assert narrow == ["requests:read"]
    assert "audit:read" in wide


def test_a_site_that_cannot_be_seen_cannot_be_named(inside: People) -> None:
    inside.user("ana")
    inside.site("web")

    with pytest.raises(InvalidInputError) as refusal:
        inside.token("ana", scopes=["requests:read"], sites=["web"])

    assert [error.pointer for error in refusal.value.errors] == ["/sites/0"]


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"scopes": ["sites:fly"]}, "/scopes/0"),
        ({"scopes": ["requests:read"], "cidrs": ["nonsense"]}, "/cidrs/0"),
        ({"scopes": ["requests:read"], "cidrs": ["192.0.2.1/24"]}, "/cidrs/0"),
        ({"scopes": ["requests:read"], "expires_in_days": 0}, "/expires_in_days"),
        ({"scopes": ["requests:read"], "expires_in_days": 366}, "/expires_in_days"),
    ],
)
def test_an_impossible_order_is_refused(
    inside: People, order: dict[str, object], pointer: str
) -> None:
    inside.user("ana")

    with pytest.raises(InvalidInputError) as refusal:
        inside.token("ana", **order)

    assert refusal.value.errors[0].pointer == pointer


def test_a_token_makes_and_reads_no_tokens(inside: People) -> None:
    inside.user("ana")
    view = inside.token("ana", scopes=["requests:read"])
    actor, order = _act(view.token), TokenOrder(name="more", scopes=["requests:read"])

    attempts: list[Callable[[], object]] = [
        lambda: tokens.create(actor=actor, order=order),
        lambda: tokens.list_own(actor=actor, page=PageRequest()),
        lambda: tokens.get_own(actor=actor, public_id=view.row.public_id),
        lambda: tokens.revoke(actor=actor, public_id=view.row.public_id),
        lambda: tokens.rotate(actor=actor, public_id=view.row.public_id, overlap_minutes=1),
    ]

    for attempt in attempts:
        with pytest.raises(ForbiddenError) as refusal:
            attempt()
        assert refusal.value.code is ErrorCode.SESSION_REQUIRED


def test_the_database_never_holds_the_token(inside: People) -> None:
    inside.user("ana")

    token = inside.token("ana", scopes=["requests:read"]).token or ""

    row = db.session.scalars(select(ApiToken)).one()
    assert token.startswith(row.prefix)
    assert token not in (row.token_hash, row.prefix, row.name)


def test_an_expired_token_says_so_and_stays_listed(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        token = inside.token("ana", scopes=["requests:read"], expires_in_days=1).token
        clock.shift(timedelta(days=1))

        assert _code(token) == ErrorCode.TOKEN_EXPIRED
        listed = tokens.list_own(actor=inside.actor("ana"), page=PageRequest()).items
        assert [view.state for view in listed] == [TokenState.EXPIRED]


def test_a_revoked_token_says_so_and_stays_listed(inside: People) -> None:
    inside.user("ana")
    view = inside.token("ana", scopes=["requests:read"])
    actor = inside.actor("ana")

    tokens.revoke(actor=actor, public_id=view.row.public_id)
    tokens.revoke(actor=actor, public_id=view.row.public_id)

    assert _code(view.token) == ErrorCode.TOKEN_REVOKED
    assert tokens.get_own(actor=actor, public_id=view.row.public_id).state is TokenState.REVOKED


def test_a_token_of_a_deactivated_owner_is_revoked(inside: People) -> None:
    inside.user("ana")
    token = inside.token("ana", scopes=["requests:read"]).token
    with transaction() as session:
        session.execute(update(User).where(User.username == "ana").values(is_active=False))

    assert _code(token) == ErrorCode.TOKEN_REVOKED


def test_unknown_and_mistyped_tokens_are_invalid(inside: People) -> None:
    real = new_api_token()

    for token in ("", "rlv_", "rlv_x", real, real[:-1], real + "0", real.upper()):
        assert _code(token) == ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize(
    ("cidrs", "address", "allowed"),
    [
        (None, None, True),
        (["192.0.2.0/24"], "192.0.2.9", True),
        (["192.0.2.0/24"], "192.0.3.9", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.9", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "192.0.2.9", False),
        (["192.0.2.0/24"], None, False),
        (["192.0.2.0/24"], "not an address", False),
    ],
)
def test_a_token_works_only_from_its_addresses(
    cidrs: list[str] | None, address: str | None, allowed: bool
) -> None:
    assert address_is_allowed(cidrs, address) is allowed


def test_a_token_from_elsewhere_is_refused(inside: People) -> None:
    inside.user("ana")
    token = inside.token("ana", scopes=["requests:read"], cidrs=["192.0.2.0/24"]).token

    assert _code(token, "198.51.100.1") == ErrorCode.TOKEN_INVALID
    assert _act(token, "192.0.2.7").username == "ana"


def test_a_token_lives_ninety_days_by_default(inside: People) -> None:
    inside.user("ana")

    row = inside.token("ana", scopes=["requests:read"]).row

    assert row.expires_at - row.created_at == timedelta(days=90)


def test_a_rotated_token_has_a_successor_with_the_same_limits_and_life(inside: People) -> None:
    inside.user("ana")
    inside.site("web", ana="deployer")
    order = {"preset": TokenPreset.DEPLOY, "sites": ["web"], "environments": ["test"]}
    with time_machine.travel(START, tick=False) as clock:
        old = inside.token("ana", **order)
        clock.shift(timedelta(days=30))

        new = tokens.rotate_self(actor=_act(old.token), overlap_minutes=10)

        assert (new.row.scopes, new.row.environments) == (old.row.scopes, ["test"])
        assert [site.slug for site in new.row.sites] == ["web"]
        assert new.row.expires_at == utc_now() + timedelta(days=90)
        clock.shift(timedelta(minutes=9))
        assert _act(old.token).token_id == old.row.id
        clock.shift(timedelta(minutes=2))
        assert _code(old.token) == ErrorCode.TOKEN_EXPIRED
        assert _act(new.token).token_id == new.row.id


def test_a_token_has_one_successor(inside: People) -> None:
    inside.user("ana")
    old = inside.token("ana", scopes=["requests:read"])
    new = tokens.rotate_self(actor=_act(old.token), overlap_minutes=10)

    with pytest.raises(ConflictError) as refusal:
        tokens.rotate_self(actor=_act(old.token), overlap_minutes=10)

    assert refusal.value.code is ErrorCode.INVALID_TRANSITION
    assert refusal.value.members["allowed_actions"] == ["revoke"]
    assert tokens.rotate_self(actor=_act(new.token), overlap_minutes=10).token


def test_of_parallel_rotations_one_makes_the_successor(people: People) -> None:
    people.user("ana")
    with people.app.app_context():
        old = people.token("ana", scopes=["requests:read"])
        actor = _act(old.token)

    outcomes = together(
        people.app, *[lambda: tokens.rotate_self(actor=actor, overlap_minutes=10)] * 6
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    assert (len(refused), len(outcomes)) == (5, 6)


def test_a_revoked_token_is_not_rotated(inside: People) -> None:
    inside.user("ana")
    view = inside.token("ana", scopes=["requests:read"])
    actor = inside.actor("ana")
    tokens.revoke(actor=actor, public_id=view.row.public_id)

    with pytest.raises(ConflictError) as refusal:
        tokens.rotate(actor=actor, public_id=view.row.public_id, overlap_minutes=10)

    assert refusal.value.code is ErrorCode.INVALID_TRANSITION


def test_a_session_is_no_token(inside: People) -> None:
    inside.user("ana")

    with pytest.raises(NotFoundError):
        tokens.get_self(actor=inside.actor("ana"))


def test_somebody_else_s_token_does_not_exist(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    view = inside.token("bob", scopes=["requests:read"])

    with pytest.raises(NotFoundError):
        tokens.get_own(actor=inside.actor("ana"), public_id=view.row.public_id)


def test_last_use_is_written_at_most_once_a_minute(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        token = inside.token("ana", scopes=["requests:read"]).token
        _act(token, "192.0.2.1")
        first = _last_use()
        clock.shift(timedelta(seconds=59))
        _act(token, "192.0.2.2")
        second = _last_use()
        clock.shift(timedelta(seconds=2))
        _act(token, "192.0.2.3")

        assert first[1] == second[1] == "192.0.2.1"
        assert _last_use() == (utc_now(), "192.0.2.3")


@pytest.mark.parametrize(
    ("lifetime_days", "days_left", "words"),
    [
        (90, 15, None),
        (90, 13.5, "less than 14 days"),
        (90, 6.5, "less than 7 days"),
        (90, 0.5, "less than 1 day;"),
        (7, 6.5, None),
        (7, 0.5, "less than 1 day;"),
    ],
)
def test_a_token_warns_before_it_expires(
    inside: People, lifetime_days: int, days_left: float, words: str | None
) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        view = inside.token("ana", scopes=["requests:read"], expires_in_days=lifetime_days)
        clock.shift(timedelta(days=lifetime_days - days_left))

        warnings = _act(view.token).warnings

    assert len(warnings) == (words is not None)
    if words is not None:
        assert words in warnings[0]
        assert isoformat(view.row.expires_at) in warnings[0]
        assert (view.token or "")[8:] not in warnings[0]


def test_tokens_can_be_filtered_by_state(inside: People) -> None:
    inside.user("ana")
    gone = inside.token("ana", name="gone", scopes=["requests:read"])
    inside.token("ana", name="here", scopes=["requests:read"])
    actor = inside.actor("ana")
    tokens.revoke(actor=actor, public_id=gone.row.public_id)

    found = {
        state: [
            view.row.name
            for view in tokens.list_own(actor=actor, page=PageRequest(), state=state).items
        ]
        for state in TokenState
    }

    assert found == {"active": ["here"], "expired": [], "revoked": ["gone"]}


def _last_use() -> tuple[object, object]:
    db.session.rollback()
    row = db.session.execute(select(ApiToken.last_used_at, ApiToken.last_used_address)).one()
    return row[0], row[1]


def _role_id(name: str) -> int:
    return db.session.scalars(select(Role.id).where(Role.name == name)).one()
