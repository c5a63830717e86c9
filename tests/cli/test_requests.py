"""`relevo requests list|show|approve|reject|execute`."""

import pytest

from models.requests import RequestType
from services import approval_policies, requests
from services.approval_policies import PolicyOrder
from services.request_payloads import PromotionPayload
from services.requests import RequestOrder
from tests.cli.commands import Relevo
from tests.factories import OPERATOR, live, make_site, upload
from tests.people import People


@pytest.fixture
def number(inside: People) -> int:
    """A request of ana (owner) that rita (reviewer) may approve."""
    for name in ("ana", "rita"):
        inside.user(name)
    make_site(main=("one",), ana="owner", rita="reviewer")
    upload("two")
    order = PolicyOrder(type=RequestType.PROMOTION, required_approvals=1)
    approval_policies.create_policy(actor=OPERATOR, order=order)
    wish = RequestOrder(title="Easter", site="web", payload=PromotionPayload(), auto_execute=False)
    return requests.file_request(actor=inside.actor("ana"), order=wish).number


def test_there_may_be_none(relevo: Relevo) -> None:
    assert relevo("requests", "list").stdout == "No requests.\n"


def test_requests_are_listed_and_shown(relevo: Relevo, number: int) -> None:
    listed = relevo("requests", "list", "--state", "pending")
    shown = relevo("requests", "show", str(number))

    assert listed.stdout.splitlines() == [
        "NUMBER  STATE    TYPE       SITE  BY   TITLE",
        "1       pending  promotion  web   ana  Easter",
    ]
    assert "Approvals: 0 of 1" in shown.stdout
    assert "release: 2" in shown.stdout
    assert relevo.document("requests", "list", "--state", "stale")["items"] == []


def test_somebody_approves_and_the_host_carries_out(relevo: Relevo, number: int) -> None:
    approved = relevo("requests", "approve", str(number), "--as", "rita")
    done = relevo.document("requests", "execute", str(number))

    assert approved.stdout == "Request 1 is approved.\n"
    assert (done["state"], live()) == ("completed", 2)


def test_nobody_approves_their_own_request_on_the_host_either(relevo: Relevo, number: int) -> None:
    refusal = relevo.document("requests", "approve", str(number), "--as", "ana", exit_code=1)

    assert refusal["code"] == "self_approval"


def test_a_rejection_has_a_reason(relevo: Relevo, number: int) -> None:
    rejected = relevo.document(
        "requests", "reject", str(number), "--as", "rita", "--reason", "prices"
    )

    assert (rejected["state"], rejected["closed_reason"]) == ("rejected", "prices")


def test_what_is_not_approved_is_not_carried_out(relevo: Relevo, number: int) -> None:
    refusal = relevo.document("requests", "execute", str(number), exit_code=1)

    assert (refusal["code"], live()) == ("invalid_transition", 1)


def test_promoting_at_the_host_asks_for_approval_too(relevo: Relevo, number: int) -> None:
    upload("three")

    result = relevo("sites", "promote", "web")

    assert result.stdout == "Request 2 asks for approval to show release 3 there.\n"
    assert live() == 1
