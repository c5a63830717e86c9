"""Which sites exist for whom, and what may be done on them."""

import pytest

from core.errors import ErrorCode
from services import access, environments, promotions, publishing, site_reads, sites
from services.actors import Actor
from services.paging import PageRequest
from services.permissions import TokenPreset
from services.promotion_rules import PromotionOrder
from tests.factories import (
    OPERATOR,
    live,
    make_site,
    promote,
    push,
    refused,
    roll_back,
    token_actor,
    upload,
)
from tests.people import People


def _token(people: People, username: str, **order: object) -> Actor:
    """Return an API token of a user as services see it."""
    token = people.token(username, **order).token
    assert token is not None
    return token_actor(token)


def _slugs(actor: Actor) -> list[str]:
    found = site_reads.list_views(actor=actor, page=PageRequest(sort="slug"))
    return [site.slug for site in found.items]


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("admin", ["blog", "web"]),
        ("maintainer", ["blog", "web"]),
        ("auditor", ["blog", "web"]),
        ("member", ["web"]),
    ],
)
def test_a_member_sees_its_sites_and_others_see_all(
    inside: People, role: str, seen: list[str]
) -> None:
    inside.user("ana", role)
    make_site("blog")
    make_site(ana="reader")

    assert _slugs(inside.actor("ana")) == seen


def test_a_site_of_others_does_not_exist(inside: People) -> None:
    make_site()

    with refused(ErrorCode.NOT_FOUND):
        access.find_site(actor=inside.actor("bob", "member"), slug="web")


@pytest.mark.parametrize(
    ("role", "missing"),
    [("reader", ["promotions:write"]), ("reviewer", ["promotions:write"]), ("deployer", [])],
)
def test_the_role_on_the_site_decides_who_promotes(
    inside: People, role: str, missing: list[str]
) -> None:
    inside.user("ana")
    make_site(main=("one",), ana=role)
    number = upload("two")
    actor = inside.actor("ana")

    if missing:
        with refused(ErrorCode.SCOPE_MISSING) as refusal:
            promote(number, actor=actor)
        assert refusal.member("missing") == missing
        assert live() == 1
    else:
        promote(number, actor=actor)
        assert live() == number


def test_an_auditor_sees_all_and_changes_nothing(inside: People) -> None:
    make_site(main=("one",))
    actor = inside.actor("eve", "auditor")

    with refused(ErrorCode.SCOPE_MISSING):
        push("two", actor=actor)
    with refused(ErrorCode.SCOPE_MISSING):
        promote(1, actor=actor)
    with refused(ErrorCode.SCOPE_MISSING):
        roll_back(actor=actor)


def test_a_token_sees_only_its_sites(inside: People) -> None:
    make_site("blog")
    make_site()
    actor = _token(inside, "root", scopes=["sites:read"], sites=["web"])

    assert _slugs(actor) == ["web"]
    with refused(ErrorCode.NOT_FOUND):
        site_reads.get_view(actor=actor, slug="blog")


def test_a_token_of_some_sites_makes_no_others(inside: People) -> None:
    make_site()
    actor = _token(inside, "root", scopes=["sites:read", "sites:write"], sites=["web"])

    with refused(ErrorCode.SCOPE_MISSING):
        sites.create_site(actor=actor, slug="blog", name="Blog")


def test_a_token_promotes_only_into_its_environments(inside: People) -> None:
    make_site(main=("one",))
    number = upload("two")
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)
    actor = _token(inside, "root", preset=TokenPreset.DEPLOY, environments=["test", "staging"])

    with refused(ErrorCode.SCOPE_MISSING) as refusal:
        promote(number, actor=actor)
    promote(number, to="staging", actor=actor)

    assert refusal.member("missing") == ["promotions:write"]
    assert (live(), live("staging")) == (1, number)


def test_a_token_rolls_back_only_its_environments(inside: People) -> None:
    make_site(main=("one", "two"))
    actor = _token(inside, "root", preset=TokenPreset.DEPLOY, environments=["test"])

    with refused(ErrorCode.SCOPE_MISSING) as refusal:
        roll_back(actor=actor)

    assert refusal.member("missing") == ["promotions:rollback"]


def test_a_token_publishes_by_itself_only_to_its_environments(inside: People) -> None:
    make_site()
    actor = _token(inside, "root", preset=TokenPreset.DEPLOY, environments=["main"])

    uploaded = push("one", actor=actor)

    assert (uploaded.published, live("test")) == ((), None)


def test_an_upload_to_a_forbidden_environment_stores_nothing(inside: People) -> None:
    make_site()
    actor = _token(inside, "root", preset=TokenPreset.DEPLOY, environments=["main"])

    with refused(ErrorCode.SCOPE_MISSING):
        push("one", actor=actor, to="test")


def test_a_token_for_uploads_reaches_test_and_no_further(inside: People) -> None:
    make_site()
    actor = _token(inside, "root", preset=TokenPreset.UPLOAD)

    published = push("one", actor=actor).published
    with refused(ErrorCode.SCOPE_MISSING):
        push("two", actor=actor, to="main")
    with refused(ErrorCode.SCOPE_MISSING):
        promotions.promote(actor=actor, slug="web", order=PromotionOrder(to="main"))

    assert [move.to_environment for move in published] == ["test"]
    assert (live("test"), live("main")) == (1, None)


@pytest.mark.parametrize("call", ["create", "lock", "patch", "delete"])
def test_a_token_changes_only_its_environments(inside: People, call: str) -> None:
    make_site()
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)
    scopes = ["sites:read", "environments:write"]
    actor = _token(inside, "root", scopes=scopes, environments=["test"])

    with refused(ErrorCode.SCOPE_MISSING):
        if call == "create":
            environments.create_environment(actor=actor, slug="web", name="demo", rank=5)
        elif call == "lock":
            environments.lock(actor=actor, slug="web", name="staging", reason="no")
        elif call == "patch":
            change = environments.EnvironmentChange(rank=99)
            environments.update_environment(actor=actor, slug="web", name="staging", change=change)
        else:
            environments.delete_environment(actor=actor, slug="web", name="staging")


def test_a_membership_that_ended_ends_at_once(inside: People) -> None:
    inside.user("ana")
    make_site(ana="owner")
    make_site("blog")
    actor = inside.actor("ana")
    sites.delete_site(actor=actor, slug="web", confirm="web")

    with refused(ErrorCode.NOT_FOUND):
        publishing.upload(actor=actor, slug="web", stream=NeverRead())


class NeverRead:
    """A body that must not be looked at."""

    def read(self, _size: int = -1, /) -> bytes:
        raise AssertionError("the body is read although the site was refused")
