import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import update
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from core.clock import utc_now
from models.webhooks import DeliveryState, DisabledReason, Webhook, WebhookDelivery
from services import webhook_pump, webhook_sending, webhooks
from services.members import put_member
from services.transaction import transaction
from services.webhook_queue import RETRY_SECONDS
from services.webhooks import WebhookChange
from tests.factories import OPERATOR, audit_actions, last_event, make_site
from tests.outgoing.hooks import deliveries, happen, hook, make_hook, pump_and_work, states
from tests.outgoing.receivers import Receiver, receiving, unused_port
from tests.people import People
from tests.threads import together
from tests.working import work_off


def later(**delay: float) -> time_machine.travel:
    """Let time pass; the clock goes on from there."""
    return time_machine.travel(utc_now() + timedelta(**delay))


def test_an_event_arrives_signed_so_that_the_library_accepts_it(
    calling: People, receiver: Receiver
) -> None:
    made = make_hook(receiver.url)
    event = happen(release=3)

    pump_and_work()

    (call,) = receiver.calls
    content = Verifier(made.secret).verify(call.body, call.headers)
    assert content["type"] == "promotion.succeeded"
    assert content["data"] == {
        "id": event,
        "site": None,
        "actor": None,
        "target": {"type": "promotion", "id": "12"},
        "after": {"release": 3},
    }
    assert datetime.fromisoformat(content["timestamp"]).tzinfo == UTC
    assert call.headers["webhook-id"] == f"msg_{event}"
    assert states() == [DeliveryState.SUCCEEDED]


def test_the_signature_is_the_one_that_the_standard_describes(
    calling: People, receiver: Receiver
) -> None:
    made = make_hook(receiver.url)
    happen()

    pump_and_work()

    (call,) = receiver.calls
    key = base64.b64decode(made.secret.removeprefix("whsec_"))
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(key, signed + call.body, hashlib.sha256).digest()
    assert call.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_a_changed_body_and_an_old_call_are_refused_by_whoever_verifies(
    calling: People, receiver: Receiver
) -> None:
    verifier = Verifier(make_hook(receiver.url).secret)
    happen()
    pump_and_work()
    (call,) = receiver.calls

    with pytest.raises(WebhookVerificationError):
        verifier.verify(call.body + b" ", call.headers)
    with later(minutes=6), pytest.raises(WebhookVerificationError):
        verifier.verify(call.body, call.headers)


def test_both_secrets_sign_until_the_overlap_is_over(calling: People, receiver: Receiver) -> None:
    old = make_hook(receiver.url)
    new = webhooks.rotate_secret(
        actor=OPERATOR, public_id=old.webhook.public_id, overlap_minutes=60
    )
    happen()
    pump_and_work()
    with later(minutes=61):
        happen()
        pump_and_work()
        during, after = receiver.calls

        Verifier(new.secret).verify(after.body, after.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(old.secret).verify(after.body, after.headers)
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(during.body, during.headers)


def test_people_are_named_as_they_are_named_now(calling: People, receiver: Receiver) -> None:
    calling.user("ana")
    site = make_site("web")
    make_hook(receiver.url, "member.*", site="web")
    put_member(actor=calling.actor("root"), slug="web", username="ana", role="owner")

    pump_and_work()

    (call,) = receiver.calls
    data = json.loads(call.body)["data"]
    assert (data["site"], data["actor"], data["target"]) == (
        site.slug,
        "root",
        {"type": "member", "id": "ana"},
    )
    assert data["after"] == {"role": "owner"}


def test_a_webhook_hears_what_it_asked_for_on_its_site(calling: People, receiver: Receiver) -> None:
    web, shop = make_site("web"), make_site("shop")
    pump_and_work()
    make_hook(receiver.url, "promotion.*", "release.created", site="web")
    for site in (web, shop):
        for action in ("promotion.failed", "release.created", "release.updated", "site.updated"):
            happen(action, site_id=site.id)

    pump_and_work()

    heard = sorted(json.loads(call.body)["type"] for call in receiver.calls)
    assert heard == ["promotion.failed", "release.created"]


def test_everything_about_sites_is_nothing_about_people(
    calling: People, receiver: Receiver
) -> None:
    make_hook(receiver.url, "*")
    for action in ("session.created", "user.created", "token.created", "access.refused"):
        happen(action)

    pump_and_work()

    assert receiver.calls == []


def test_what_happened_before_a_webhook_was_made_is_not_told(
    calling: People, receiver: Receiver
) -> None:
    happen()
    make_hook(receiver.url, "promotion.*")

    pump_and_work()

    assert receiver.calls == []


def test_a_failed_call_is_tried_again_with_the_same_id_until_it_succeeds(
    calling: People, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 200]
    verifier = Verifier(make_hook(receiver.url, "promotion.*").secret)
    happen()

    pump_and_work()
    assert work_off() == 0  # nothing is due at once
    for seconds in (10, 100):
        with later(seconds=seconds):
            work_off()

    (delivery,) = deliveries()
    assert [attempt.status for attempt in delivery.attempts] == [500, 503, 200]
    assert delivery.state is DeliveryState.SUCCEEDED
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert len({call.body for call in receiver.calls}) == 1
    with later(seconds=100):
        verifier.verify(receiver.calls[2].body, receiver.calls[2].headers)


def test_a_delivery_is_given_up_after_the_last_try(calling: People, receiver: Receiver) -> None:
    receiver.answers = [404]
    made = make_hook(receiver.url, "promotion.*")
    happen()
    pump_and_work()
    passed = 0.0

    for seconds in RETRY_SECONDS:
        passed += seconds * 1.3
        with later(seconds=passed):
            work_off()

    assert len(receiver.calls) == 1 + len(RETRY_SECONDS)
    assert states() == [DeliveryState.FAILED]
    assert hook(made.webhook).is_active
    assert hook(made.webhook).failing_since is not None


def test_a_webhook_that_fails_for_days_is_switched_off(calling: People, receiver: Receiver) -> None:
    receiver.answers = [404]
    made = make_hook(receiver.url, "promotion.*")
    happen()
    pump_and_work()
    with transaction() as session:
        row = session.get_one(WebhookDelivery, deliveries()[0].id)
        row.failures = len(RETRY_SECONDS)
        session.get_one(Webhook, row.webhook_id).failing_since = utc_now() - timedelta(days=4)

    with later(seconds=60):
        work_off()

    found = hook(made.webhook)
    assert (found.is_active, found.disabled_reason) == (False, DisabledReason.FAILING)
    assert last_event().action == "webhook.disabled"
    assert last_event().after == {"target": receiver.target, "reason": "failing"}


def test_a_receiver_that_is_gone_is_not_called_again(calling: People, receiver: Receiver) -> None:
    receiver.answers = [410]
    made = make_hook(receiver.url, "promotion.*")
    happen()
    happen("promotion.failed")

    pump_and_work()

    assert len(receiver.calls) == 1
    assert states() == [DeliveryState.FAILED, DeliveryState.CANCELLED]
    found = hook(made.webhook)
    assert (found.is_active, found.disabled_reason) == (False, DisabledReason.GONE)
    assert "webhook.disabled" in audit_actions()


def test_the_receiver_may_ask_for_more_patience(calling: People, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [429], {"Retry-After": "600"}
    make_hook(receiver.url, "promotion.*")
    happen()

    pump_and_work()

    wait = deliveries()[0].due_at - utc_now()
    assert timedelta(seconds=590) < wait <= timedelta(seconds=600)


@pytest.mark.parametrize("asked", ["0", "-5", "soon", "99999999999", ""])
def test_a_strange_wish_for_patience_stays_within_bounds(
    calling: People, receiver: Receiver, asked: str
) -> None:
    receiver.answers, receiver.headers = [503], {"Retry-After": asked}
    make_hook(receiver.url, "promotion.*")
    happen()

    pump_and_work()

    wait = deliveries()[0].due_at - utc_now()
    assert timedelta(seconds=2) < wait <= timedelta(days=1)


def test_a_redirect_is_a_failure_and_is_not_followed(calling: People, receiver: Receiver) -> None:
    with receiving() as inside:
        receiver.answers, receiver.headers = [302], {"Location": inside.url}
        make_hook(receiver.url, "promotion.*")
        happen()

        pump_and_work()

        assert inside.calls == []
    assert [(row.status, row.error) for row in deliveries()[0].attempts] == [(302, "redirect")]


def test_a_host_that_became_private_is_refused_at_the_call(
    calling: People, receiver: Receiver
) -> None:
    make_hook(receiver.url, "promotion.*")
    happen()
    settings = calling.app.extensions["relevo.settings"]
    calling.app.extensions["relevo.settings"] = replace(settings, webhook_allowed_cidrs=())

    pump_and_work()

    assert receiver.calls == []
    assert [row.error for row in deliveries()[0].attempts] == ["host_refused"]


def test_of_the_answer_the_beginning_is_kept_as_text(calling: People, receiver: Receiver) -> None:
    receiver.body = b"\x00\xffsorry\x1b[2J" + b"x" * 5000
    receiver.answers = [500]
    make_hook(receiver.url, "promotion.*")
    happen()

    pump_and_work()

    answer = deliveries()[0].attempts[0].answer
    assert answer.startswith(" \N{REPLACEMENT CHARACTER}sorry [2Jxxx")
    assert len(answer) == 1024


def test_copies_of_a_job_call_once(calling: People, receiver: Receiver) -> None:
    make_hook(receiver.url, "promotion.*")
    happen()
    webhook_pump.pump()
    (row,) = deliveries()
    public_id, turn = row.public_id, row.turn

    def call() -> object:
        return webhook_sending.deliver(public_id=public_id, turn=turn)

    outcomes = together(calling.app, call, call, call, call)
    work_off()

    assert len(receiver.calls) == 1
    assert outcomes.count({"called": False}) == 3
    assert states() == [DeliveryState.SUCCEEDED]


def test_pumps_at_the_same_time_make_each_delivery_once(
    calling: People, receiver: Receiver
) -> None:
    make_hook(receiver.url, "promotion.*")
    make_hook(receiver.url, "promotion.*")
    for _ in range(10):
        happen()

    outcomes = together(calling.app, *[webhook_pump.pump] * 4)

    assert all(isinstance(outcome, int) for outcome in outcomes), outcomes
    assert len(deliveries()) == 20
    assert webhook_pump.is_waiting() is False


def test_a_call_whose_process_died_is_planned_again(calling: People, receiver: Receiver) -> None:
    make_hook(receiver.url, "promotion.*")
    happen()
    webhook_pump.pump()
    with transaction() as session:
        session.execute(
            update(WebhookDelivery).values(state=DeliveryState.SENDING, leased_until=utc_now())
        )
    work_off()
    assert receiver.calls == []

    with later(seconds=61):
        revived = webhook_pump.revive()
        work_off()

    assert revived == 1
    assert len(receiver.calls) == 1
    assert states() == [DeliveryState.SUCCEEDED]


def test_a_switched_off_webhook_gets_nothing_more(calling: People, receiver: Receiver) -> None:
    made = make_hook(receiver.url, "promotion.*")
    happen()
    webhook_pump.pump()
    change = WebhookChange(is_active=False)
    webhooks.update_webhook(actor=OPERATOR, public_id=made.webhook.public_id, change=change)
    happen()

    pump_and_work()

    assert receiver.calls == []
    assert states() == [DeliveryState.CANCELLED]


def test_old_deliveries_and_targets_that_nobody_calls_are_forgotten(
    calling: People, receiver: Receiver
) -> None:
    made = make_hook(receiver.url, "promotion.*")
    happen()
    pump_and_work()
    webhooks.update_webhook(
        actor=OPERATOR,
        public_id=made.webhook.public_id,
        change=WebhookChange(url=f"http://127.0.0.1:{unused_port()}/"),
    )

    with later(days=31):
        forgotten = webhook_pump.forget()

    assert forgotten == 2
    assert deliveries() == []
