import pytest

from core.errors import ErrorCode, ForbiddenError, InvalidInputError, NotFoundError
from services import access, members
from services.actors import Actor, system_actor
from services.paging import PageRequest
from services.permissions import RoleKind
from services.roles import RoleChange, create_role
from services.tokens import actor_for_token
from tests.people import ADDRESS, People


def _put(actor: Actor, username: str, role: str, slug: str = "web") -> bool:
    return members.put_member(actor=actor, slug=slug, username=username, role=role)[1]


def test_an_owner_adds_changes_and_removes_members(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    inside.site("web", ana="owner")
    actor = inside.actor("ana")

    assert _put(actor, "bob", "deployer")
    assert not _put(actor, "bob", "reader")
    assert members.get_member(actor=actor, slug="web", username="bob").role == "reader"
    members.remove_member(actor=actor, slug="web", username="bob")

    listed = members.list_members(actor=actor, slug="web", page=PageRequest(sort="username"))
    assert [(member.username, member.role) for member in listed.items] == [("ana", "owner")]


def test_a_membership_counts_on_the_next_request(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    inside.site("web", ana="owner")

    _put(inside.actor("ana"), "bob", "deployer")

    site = access.find_site(actor=inside.actor("bob"), slug="web")
    assert "promotions:write" in access.site_scopes(actor=inside.actor("bob"), site=site)
    members.remove_member(actor=inside.actor("ana"), slug="web", username="bob")
    with pytest.raises(NotFoundError):
        access.find_site(actor=inside.actor("bob"), slug="web")


@pytest.mark.parametrize("role", ["deployer", "reviewer", "reader"])
def test_only_owners_manage_members(inside: People, role: str) -> None:
    inside.user("ana")
    inside.user("bob")
    inside.site("web", ana=role, bob="reader")
    actor = inside.actor("ana")

    with pytest.raises(ForbiddenError):
        _put(actor, "bob", "reader")
    with pytest.raises(ForbiddenError):
        members.remove_member(actor=actor, slug="web", username="bob")


def test_nobody_gives_or_takes_more_than_they_hold_on_the_site(inside: People) -> None:
    change = RoleChange(permissions=["sites:read", "members:write"])
    create_role(actor=system_actor(), name="keeper", kind=RoleKind.SITE, change=change)
    for name in ("ana", "bob", "eve"):
        inside.user(name)
    inside.site("web", ana="keeper", bob="owner")
    actor = inside.actor("ana")

    for username, role in [("eve", "owner"), ("ana", "owner"), ("bob", "keeper")]:
        with pytest.raises(ForbiddenError) as refusal:
            _put(actor, username, role)
        assert refusal.value.code is ErrorCode.SCOPE_NOT_HELD
    with pytest.raises(ForbiddenError):
        members.remove_member(actor=actor, slug="web", username="bob")
    assert _put(actor, "eve", "keeper")


def test_members_of_a_foreign_site_do_not_exist(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    inside.site("web", ana="owner")
    inside.site("shop", bob="owner")
    actor = inside.actor("ana")

    for call in (
        lambda: members.list_members(actor=actor, slug="shop", page=PageRequest()),
        lambda: members.get_member(actor=actor, slug="shop", username="bob"),
        lambda: _put(actor, "ana", "owner", slug="shop"),
        lambda: members.remove_member(actor=actor, slug="shop", username="bob"),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_a_token_of_one_site_manages_no_other(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    inside.site("web", ana="owner")
    inside.site("shop", ana="owner")
    token = inside.token("ana", scopes=["sites:read", "members:write"], sites=["web"]).token
    actor = actor_for_token(token=token or "", address=ADDRESS, request_id=None)

    with pytest.raises(NotFoundError):
        _put(actor, "bob", "reader", slug="shop")
    with pytest.raises(ForbiddenError):
        _put(actor, "bob", "reader", slug="web")


@pytest.mark.parametrize("role", ["admin", "member", "nonsense"])
def test_only_site_roles_are_given(inside: People, role: str) -> None:
    inside.user("ana")
    inside.site("web")

    with pytest.raises(InvalidInputError) as refusal:
        _put(inside.actor("root"), "ana", role)

    assert refusal.value.errors[0].pointer == "/role"


def test_somebody_unknown_is_no_member(inside: People) -> None:
    inside.site("web")

    with pytest.raises(NotFoundError):
        _put(inside.actor("root"), "nobody", "reader")
    with pytest.raises(NotFoundError):
        members.remove_member(actor=inside.actor("root"), slug="web", username="root")
