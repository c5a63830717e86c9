from typing import Any

import pytest
from sqlalchemy import select

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from models.audit import AuditHead
from models.engine import db
from models.roles import Role
from services import roles, users
from services.actors import Actor, system_actor
from services.paging import PageRequest
from services.permissions import PERMISSIONS, SHIPPED_ROLES, RoleKind, ShippedRole
from services.roles import RoleChange
from services.seed_roles import ensure_roles
from tests.people import People, find


def _create(
    name: str, kind: RoleKind = RoleKind.GLOBAL, actor: Actor | None = None, **change: Any
) -> Role:
    return roles.create_role(
        actor=actor or system_actor(),
        name=name,
        kind=kind,
        change=RoleChange(**change),
    )


def _update(name: str, **change: Any) -> Role:
    return roles.update_role(
        actor=system_actor(),
        name=name,
        change=RoleChange(**change),
    )


@pytest.mark.parametrize("shipped", SHIPPED_ROLES, ids=lambda shipped: shipped.name)
def test_a_shipped_role_is_a_row_with_its_permissions(inside: People, shipped: ShippedRole) -> None:
    role = roles.get_role(name=shipped.name)

    assert set(role.effective) == set(shipped.permissions)
    assert role.sees_all_sites is shipped.sees_all_sites
    assert role.shipped


def test_seeding_again_keeps_what_an_administrator_edited(inside: People) -> None:
    _update("reader", permissions=["sites:read"])
    deployer = roles.get_role(name="deployer")
    deployer.permissions = ["sites:read"]  # as an older release shipped it
    db.session.commit()

    ensure_roles()

    assert roles.get_role(name="reader").permissions == ["sites:read"]
    assert "releases:write" in roles.get_role(name="deployer").effective
    assert db.session.scalars(select(AuditHead.id)).all() == [1]


def test_a_role_grants_what_it_inherits(inside: People) -> None:
    role = _create("press", RoleKind.SITE, permissions=["releases:write"], inherits=["reader"])

    assert set(role.effective) == {
        "releases:write",
        "sites:read",
        "requests:read",
        "databases:read",
    }


def test_an_edit_counts_for_every_generation_below(inside: People) -> None:
    _create("a", permissions=["users:read"])
    _create("b", inherits=["a"])
    _create("c", inherits=["b"])
    _create("d", inherits=["b", "c"])

    _update("a", permissions=["users:read", "audit:read"])

    assert roles.get_role(name="d").effective == ["audit:read", "users:read"]
    _update("a", permissions=[])
    assert roles.get_role(name="d").effective == []


def test_an_edit_counts_on_the_next_request(inside: People) -> None:
    _create("a", permissions=["users:read"])
    inside.user("ana", "a")
    assert inside.actor("ana").holds("users:read")

    _update("a", permissions=["audit:read"])

    actor = inside.actor("ana")
    assert actor.holds("audit:read")
    assert not actor.holds("users:read")


def test_a_global_role_that_reads_sites_sees_all_of_them(inside: People) -> None:
    _create("a", permissions=["users:read"])
    assert not roles.get_role(name="a").sees_all_sites

    _update("a", inherits=["auditor"])

    assert roles.get_role(name="a").sees_all_sites
    assert not roles.get_role(name="owner").sees_all_sites


def test_admin_means_everything(inside: People) -> None:
    assert set(_create("a", permissions=["admin"]).effective) == set(PERMISSIONS)


@pytest.mark.parametrize("inherits", [["a"], ["b"], ["c"]])
def test_a_circle_is_refused(inside: People, inherits: list[str]) -> None:
    _create("a", permissions=["users:read"])
    _create("b", inherits=["a"])
    _create("c", inherits=["b"])

    with pytest.raises(InvalidInputError) as refusal:
        _update("a", inherits=inherits)

    assert refusal.value.code is ErrorCode.ROLE_CYCLE
    assert roles.get_role(name="a").inherits == []


@pytest.mark.parametrize(
    ("kind", "change", "pointer"),
    [
        (RoleKind.GLOBAL, {"permissions": ["sites:fly"]}, "/permissions/0"),
        (RoleKind.SITE, {"permissions": ["sites:read", "users:read"]}, "/permissions/1"),
        (RoleKind.SITE, {"inherits": ["admin"]}, "/inherits/0"),
        (RoleKind.GLOBAL, {"inherits": ["nobody"]}, "/inherits/0"),
        (RoleKind.SITE, {"requires_totp": True}, "/requires_totp"),
    ],
)
def test_a_bad_part_is_named(
    inside: People, kind: RoleKind, change: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        _create("a", kind, **change)

    assert [error.pointer for error in refusal.value.errors] == [pointer]


def test_nobody_writes_a_role_that_grants_more_than_they_hold(inside: People) -> None:
    _create("editor", permissions=["roles:write", "users:read"])
    actor = inside.actor("eve", "editor")

    with pytest.raises(ForbiddenError) as refusal:
        _create("a", actor=actor, permissions=["audit:read"])
    _create("b", actor=actor, permissions=["users:read"])
    for change in (RoleChange(permissions=["admin"]), RoleChange(inherits=["auditor"])):
        with pytest.raises(ForbiddenError):
            roles.update_role(actor=actor, name="editor", change=change)

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    assert roles.get_role(name="editor").effective == ["roles:write", "users:read"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("auditor", {"permissions": []}),
        ("reader", {"permissions": []}),
        ("owner", {"description": "mine now"}),
        ("admin", {"requires_totp": True}),
    ],
)
def test_nobody_takes_away_rights_they_do_not_hold(
    inside: People, name: str, change: dict[str, Any]
) -> None:
    _create("editor", permissions=["roles:write"])
    actor = inside.actor("eve", "editor")
    before = roles.get_role(name=name)
    kept = (list(before.effective), before.description, before.requires_totp)

    with pytest.raises(ForbiddenError) as refusal:
        roles.update_role(actor=actor, name=name, change=RoleChange(**change))
    with pytest.raises(ForbiddenError):
        roles.require_changeable(actor=actor, name=name)

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    after = roles.get_role(name=name)
    assert (after.effective, after.description, after.requires_totp) == kept


def test_a_role_is_not_deleted_by_somebody_with_fewer_rights(inside: People) -> None:
    _create("editor", permissions=["roles:write"])
    _create("readers", permissions=["users:read"])
    _create("nothing", permissions=[])
    actor = inside.actor("eve", "editor")

    with pytest.raises(ForbiddenError) as refusal:
        roles.delete_role(actor=actor, name="readers")
    roles.delete_role(actor=actor, name="nothing")

    assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    assert roles.get_role(name="readers").effective == ["users:read"]


def test_the_rights_of_those_that_inherit_are_needed_too(inside: People) -> None:
    _create("editor", permissions=["roles:write"])
    _create("base", permissions=["roles:write"])
    _create("middle", inherits=["base"])
    _create("heir", permissions=["users:read"], inherits=["middle"])
    actor = inside.actor("eve", "editor")

    with pytest.raises(ForbiddenError) as refusal:
        roles.update_role(actor=actor, name="base", change=RoleChange(permissions=[]))

    assert refusal.value.members["missing"] == ["users:read"]
    assert "roles:write" in roles.get_role(name="heir").effective


def test_a_second_factor_is_not_demanded_when_no_administrator_has_one(inside: People) -> None:
    with pytest.raises(ConflictError) as refusal:
        _update("admin", requires_totp=True)

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert not roles.get_role(name="admin").requires_totp


def test_whoever_demands_a_second_factor_has_one(inside: People) -> None:
    inside.user("ana", "admin", totp_secret="x", totp_confirmed_at=utc_now())
    change = RoleChange(requires_totp=True)

    with pytest.raises(InvalidInputError) as refusal:
        roles.update_role(actor=inside.actor("root"), name="admin", change=change)
    roles.update_role(actor=inside.actor("ana"), name="admin", change=change)

    assert [error.pointer for error in refusal.value.errors] == ["/requires_totp"]
    assert inside.actor("ana").holds("admin")


def test_the_last_administrator_with_a_second_factor_stays(inside: People) -> None:
    inside.user("ana", "admin", totp_secret="x", totp_confirmed_at=utc_now())
    _update("admin", requires_totp=True)

    with pytest.raises(ConflictError) as refusal:
        users.deactivate(actor=system_actor(), username="ana")

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert find("ana").is_active


@pytest.mark.parametrize("change", [{"permissions": []}, {"permissions": ["users:read"]}])
def test_the_role_of_the_last_administrator_keeps_its_right(
    inside: People, change: dict[str, Any]
) -> None:
    with pytest.raises(ConflictError) as refusal:
        _update("admin", **change)

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert "admin" in roles.get_role(name="admin").effective


def test_a_role_in_use_is_not_deleted(inside: People) -> None:
    _create("held", permissions=[])
    _create("parent", permissions=[])
    _create("child", inherits=["parent"])
    _create("site-role", RoleKind.SITE)
    inside.user("ana", "held")
    inside.site("web", ana="site-role")

    for name in ("held", "parent", "site-role", "reader"):
        with pytest.raises(ConflictError) as refusal:
            roles.delete_role(actor=system_actor(), name=name)
        assert refusal.value.code is ErrorCode.ROLE_IN_USE
        assert refusal.value.members["reasons"]


def test_a_role_nobody_has_is_deleted(inside: People) -> None:
    _create("parent", permissions=[])
    _create("child", inherits=["parent"])

    for name in ("child", "parent"):
        roles.delete_role(actor=system_actor(), name=name)

    with pytest.raises(NotFoundError):
        roles.get_role(name="parent")


def test_a_name_is_taken_once(inside: People) -> None:
    with pytest.raises(ConflictError) as refusal:
        _create("admin")

    assert refusal.value.code is ErrorCode.ALREADY_EXISTS


def test_of_two_changes_of_the_same_version_one_wins(inside: People) -> None:
    _create("a", permissions=[])
    change = RoleChange(description="new")
    roles.update_role(actor=system_actor(), name="a", change=change, expected_version=1)

    with pytest.raises(PreconditionError):
        roles.update_role(actor=system_actor(), name="a", change=change, expected_version=1)


def test_a_role_can_demand_a_second_factor(inside: People) -> None:
    _create("careful", permissions=["users:read"], requires_totp=True)
    inside.user("ana", "careful")
    inside.site("web", ana="owner")

    actor = inside.actor("ana")

    assert not actor.holds("users:read")
    assert actor.limit(["sites:read"]) == frozenset()
    assert "second factor" in actor.warnings[0]


def test_every_permission_has_a_description(inside: People) -> None:
    page = roles.list_permissions(page=PageRequest(per_page=100))

    assert page.total == len(PERMISSIONS)
    assert all(permission.description.endswith(".") for permission in page.items)
