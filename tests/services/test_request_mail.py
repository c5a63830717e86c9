"""Who is written to about requests."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models.engine import db
from models.mail import OutgoingMail
from models.requests import RequestType
from services import approval_policies, request_reviews, requests
from services.approval_policies import PolicyOrder
from services.crypto import decrypt
from services.request_payloads import PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading
from tests import engines
from tests.factories import OPERATOR, make_site, upload
from tests.people import PASSWORD, People, make_people

SMTP = {"SMTP_URL": "smtp://127.0.0.1:2525", "MAIL_FROM": "relevo@example.org"}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[People]:
    """An installation that sends mail, where promotions of `web` take one approval."""
    people = make_people(tmp_path, **SMTP)
    with people.app.app_context():
        for name in ("ana", "rita", "rolf"):
            people.user(name)
        make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer")
        upload("two")
        order = PolicyOrder(type=RequestType.PROMOTION, required_approvals=1)
        approval_policies.create_policy(actor=OPERATOR, order=order)
        yield people
        db.session.remove()
        db.engine.dispose()
    engines.give_back_database(tmp_path)


def file(town: People) -> int:
    wish = RequestOrder(title="Easter", site="web", payload=PromotionPayload())
    return requests.file_request(actor=town.actor("ana"), order=wish).number


def mails(after: int = 0) -> list[tuple[str, str]]:
    """Return receiver and subject of every mail behind the first `after`."""
    end_reading()
    rows = db.session.scalars(select(OutgoingMail.content).order_by(OutgoingMail.id)).all()
    found = [json.loads(decrypt(content)) for content in rows if content]
    return [(mail["to"].partition("@")[0], mail["subject"]) for mail in found][after:]


def test_reviewers_hear_what_waits_and_the_requester_what_became_of_it(town: People) -> None:
    number = file(town)
    told = mails()

    request_reviews.approve(actor=town.actor("rita"), number=number)

    assert told == [(name, "Request 1 waits for a review") for name in ("root", "rita", "rolf")]
    assert mails(len(told)) == [
        ("ana", "Request 1 was approved"),
        ("ana", "Request 1 was carried out"),
    ]


def test_an_override_is_told_to_all_administrators(town: People) -> None:
    town.user("rosa", "admin")
    number = file(town)
    before = len(mails())

    request_reviews.override(
        actor=town.actor("root"), number=number, reason="fire", password=PASSWORD
    )

    words = "Request 1 was approved by one person in an emergency"
    assert mails(before)[:2] == [("ana", words), ("rosa", words)]
