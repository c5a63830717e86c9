"""The first start: something to sign in with, something to look at, and safe to repeat."""

import stat

import pytest
from sqlalchemy import select

from core.extensions import site_store
from core.settings import current_settings
from models.engine import db
from models.promotions import Promotion
from models.releases import Release
from models.sites import Membership, Site
from models.users import User
from services import setup, sites
from services.passwords import verify
from services.transaction import transaction
from tests.factories import OPERATOR, count, live, push, served
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")


@pytest.fixture
def empty(inside: People) -> People:
    """An installation in which nobody has an account."""
    with transaction() as session:
        session.delete(session.scalars(select(User)).one())
    return inside


def test_the_first_start_makes_an_administrator_with_a_password_nobody_else_reads(
    empty: People, caplog: pytest.LogCaptureFixture
) -> None:
    report = setup.set_up()

    path = report.password_file
    assert path is not None
    password = path.read_text().strip()
    user = db.session.scalars(select(User)).one()
    assert (report.admin, user.username, user.role.name) == ("admin", "admin", "admin")
    assert verify(user.password_hash, password).right
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.parent == current_settings().data_dir
    assert password not in caplog.text


def test_the_first_start_publishes_the_starter_site(empty: People) -> None:
    report = setup.set_up()

    assert report.starter_site
    assert (live("test", "starter"), live("main", "starter")) == (1, 1)
    assert "<html" in served("main", "starter")
    owners = db.session.scalars(select(Membership)).all()
    assert [member.role.name for member in owners] == ["owner"]


def test_a_second_start_changes_nothing(empty: People) -> None:
    setup.set_up()
    before = {model: count(model) for model in (User, Site, Release, Promotion)}

    report = setup.set_up()

    assert (report.admin, report.password_file, report.starter_site) == (None, None, False)
    assert {model: count(model) for model in before} == before


def test_a_starter_site_that_was_deleted_stays_deleted(empty: People) -> None:
    setup.set_up()
    sites.delete_site(actor=OPERATOR, slug="starter", confirm="starter")

    report = setup.set_up()

    assert (report.starter_site, count(Site)) == (False, 0)


def test_a_starter_site_that_a_crash_left_empty_gets_its_page(empty: People) -> None:
    site_store().prepare()
    sites.create_site(actor=OPERATOR, slug="starter", name="Starter")

    report = setup.set_up()

    assert (report.starter_site, live("main", "starter")) == (True, 1)


def test_a_starter_site_that_a_crash_left_on_test_reaches_main(empty: People) -> None:
    site_store().prepare()
    sites.create_site(actor=OPERATOR, slug="starter", name="Starter")
    push("half made", slug="starter")

    setup.set_up()

    assert live("main", "starter") is not None
    assert "<html" in served("main", "starter")


def test_a_starter_site_of_somebody_is_theirs(empty: People) -> None:
    setup.set_up()
    sites.delete_site(actor=OPERATOR, slug="starter", confirm="starter")
    sites.create_site(actor=OPERATOR, slug="starter", name="Mine")

    report = setup.set_up()

    assert (report.starter_site, live("main", "starter")) == (False, None)


def test_other_sites_are_left_alone(inside: People) -> None:
    site_store().prepare()
    sites.create_site(actor=OPERATOR, slug="mine", name="Mine")

    report = setup.set_up()

    assert (report.admin, report.starter_site) == (None, False)
    assert [site.slug for site in db.session.scalars(select(Site))] == ["mine"]
