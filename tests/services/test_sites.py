"""Sites: made with test and main, changed by one at a time, deleted with everything."""

import pytest
from sqlalchemy import select

from core.errors import ErrorCode
from core.extensions import site_store
from models.audit import OutboxEvent
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion, PromotionKind, SiteBackup
from models.releases import Release
from models.sites import Membership, Site
from services import site_reads, sites, switching
from services.sites import SiteChange
from services.transaction import transaction
from tests.factories import (
    OPERATOR,
    audit_actions,
    count,
    environment,
    last_event,
    live,
    make_site,
    refused,
    release,
    upload,
)
from tests.people import People


def test_a_new_site_has_test_and_main_and_its_maker_as_owner(inside: People) -> None:
    site_store().prepare()
    ana = inside.actor("ana", "maintainer")

    site = sites.create_site(actor=ana, slug="web", name="Web")

    members = db.session.scalars(select(Membership).where(Membership.site_id == site.id)).all()
    assert [(member.user_id, member.role.name) for member in members] == [(ana.user_id, "owner")]
    assert environment("test").policy == {"auto": True}
    assert environment("main").policy == {"auto": False}
    assert environment("test").rank < environment("main").rank
    assert (live("test"), live("main")) == (None, None)


def test_a_new_site_has_its_hosts_before_its_first_release(inside: People) -> None:
    make_site()

    assert site_store().hosts() == {"web.localhost": "web/main", "test--web.localhost": "web/test"}


def test_making_a_site_leaves_one_audit_event_and_one_outbox_row(inside: People) -> None:
    before = len(audit_actions())

    make_site()

    assert audit_actions(before) == ["site.created"]
    event = last_event()
    newest = db.session.scalars(select(OutboxEvent).order_by(OutboxEvent.id.desc())).first()
    assert newest is not None
    assert newest.payload["id"] == event.public_id
    assert (event.target_type, event.target_id) == ("site", "web")


def test_a_slug_is_taken_once(inside: People) -> None:
    make_site()

    with refused(ErrorCode.ALREADY_EXISTS):
        sites.create_site(actor=OPERATOR, slug="web", name="Another")


def test_a_slug_with_a_double_hyphen_is_kept_for_hosts(inside: People) -> None:
    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        sites.create_site(actor=OPERATOR, slug="test--web", name="Test")

    assert refusal.pointers == ["/slug"]


@pytest.mark.parametrize("role", ["member", "auditor"])
def test_only_who_holds_the_scope_everywhere_makes_sites(inside: People, role: str) -> None:
    actor = inside.actor("bob", role)

    with refused(ErrorCode.SCOPE_MISSING) as refusal:
        sites.create_site(actor=actor, slug="web", name="Web")

    assert refusal.member("missing") == ["sites:write"]


def test_a_change_keeps_what_it_does_not_name(inside: People) -> None:
    make_site()

    site = sites.update_site(actor=OPERATOR, slug="web", change=SiteChange(description="Ours"))

    assert (site.name, site.description, site.version) == ("Web", "Ours", 2)
    assert last_event().before == {"description": ""}
    assert last_event().after == {"description": "Ours"}


def test_a_change_of_an_older_version_is_refused(inside: People) -> None:
    make_site()
    sites.update_site(actor=OPERATOR, slug="web", change=SiteChange(name="New"))

    with refused(ErrorCode.PRECONDITION_FAILED):
        sites.update_site(
            actor=OPERATOR, slug="web", change=SiteChange(name="Newer"), expected_version=1
        )

    assert site_reads.get_view(actor=OPERATOR, slug="web").name == "New"


def test_a_deleted_site_takes_rows_files_and_hosts_with_it(inside: People) -> None:
    inside.user("ana")
    make_site("other", main=("kept",))
    make_site(main=("one", "two"), ana="owner")
    store = site_store()

    sites.delete_site(actor=OPERATOR, slug="web", confirm="web")

    assert not store.layout.site("web").exists()
    assert {target.split("/")[0] for target in store.hosts().values()} == {"other"}
    assert [site.slug for site in db.session.scalars(select(Site))] == ["other"]
    assert (count(Environment), count(Release), count(SiteBackup)) == (2, 1, 0)
    assert live(slug="other") == 1
    assert last_event().action == "site.deleted"


@pytest.mark.parametrize("confirm", [None, "", "WEB", "other"])
def test_a_site_is_deleted_only_by_its_slug_said_twice(inside: People, confirm: str | None) -> None:
    make_site(main=("one",))

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        sites.delete_site(actor=OPERATOR, slug="web", confirm=confirm)

    assert refusal.pointers == ["?confirm"]
    assert live() == 1


def test_a_site_with_a_running_promotion_stays(inside: People) -> None:
    make_site(main=("one",))
    number = upload("two")
    with transaction():
        place = environment()
        switching.begin(
            actor=OPERATOR,
            site=place.site,
            environment=place,
            release=release(number),
            kind=PromotionKind.PROMOTE,
        )

    with refused(ErrorCode.PROMOTION_IN_PROGRESS):
        sites.delete_site(actor=OPERATOR, slug="web", confirm="web")

    assert count(Promotion) == 4


def test_a_slug_that_was_deleted_can_be_used_again(inside: People) -> None:
    make_site(main=("one",))
    sites.delete_site(actor=OPERATOR, slug="web", confirm="web")

    make_site(main=("new",))

    assert live() == 1


def test_an_owner_may_delete_the_site_and_a_deployer_may_not(inside: People) -> None:
    inside.user("ana")
    inside.user("dan")
    make_site(ana="owner", dan="deployer")

    with refused(ErrorCode.SCOPE_MISSING):
        sites.delete_site(actor=inside.actor("dan"), slug="web", confirm="web")
    sites.delete_site(actor=inside.actor("ana"), slug="web", confirm="web")

    assert count(Site) == 0
