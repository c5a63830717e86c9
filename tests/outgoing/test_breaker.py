from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from core.clock import utc_now
from models.webhooks import DeliveryState, WebhookDelivery
from services import webhook_pump, webhook_targets
from services.transaction import end_reading, transaction
from services.webhook_targets import CALLS_AT_ONCE, OPENS_AFTER_FAILURES, BreakerState, TargetView
from tests.outgoing.hooks import deliveries, happen, hook, make_hook, pump_and_work, states
from tests.outgoing.receivers import Receiver, receiving, unused_port
from tests.people import People
from tests.working import work_off


def later(**delay: float) -> time_machine.travel:
    return time_machine.travel(utc_now() + timedelta(**delay))


def view(name: str) -> TargetView:
    end_reading()
    return webhook_targets.views(names=[name])[name]


@pytest.fixture
def failing(calling: People) -> Iterator[Receiver]:
    """A receiver that failed so often that it is left alone."""
    with receiving() as receiver:
        receiver.answers = [500]
        make_hook(receiver.url, "promotion.*")
        for _ in range(OPENS_AFTER_FAILURES):
            happen()
        pump_and_work()
        yield receiver


def test_a_target_that_fails_again_and_again_is_left_alone(failing: Receiver) -> None:
    called = len(failing.calls)
    happen()

    pump_and_work()

    assert called == OPENS_AFTER_FAILURES
    assert len(failing.calls) == called
    assert view(failing.target).state is BreakerState.OPEN
    waiting = deliveries()[-1]
    assert (waiting.state, waiting.failures) == (DeliveryState.PENDING, 0)
    assert waiting.due_at > utc_now() + timedelta(seconds=25)


def test_one_call_tries_it_and_its_success_lets_the_others_through(failing: Receiver) -> None:
    called = len(failing.calls)
    failing.answers = [200]

    with later(seconds=45):
        before = view(failing.target).state
        work_off()
        after = view(failing.target)

    assert before is BreakerState.HALF_OPEN
    assert (after.state, after.failures) == (BreakerState.CLOSED, 0)
    assert len(failing.calls) > called


def test_a_failed_try_doubles_the_pause(failing: Receiver) -> None:
    called = len(failing.calls)

    with later(seconds=45):
        work_off()
        again = view(failing.target)
        pause = (again.retry_at or utc_now()) - utc_now()

    assert len(failing.calls) == called + 1
    assert again.state is BreakerState.OPEN
    assert timedelta(seconds=50) < pause <= timedelta(seconds=60)


def test_other_targets_are_called_while_one_is_left_alone(
    failing: Receiver, receiver: Receiver
) -> None:
    make_hook(receiver.url, "promotion.*")
    happen()

    pump_and_work()

    assert len(receiver.calls) == 1
    assert view(receiver.target).state is BreakerState.CLOSED


def test_a_refusal_of_one_webhook_does_not_close_the_host_to_others(
    calling: People, receiver: Receiver
) -> None:
    receiver.answers = [404]
    made = make_hook(receiver.url, "promotion.*")
    for _ in range(OPENS_AFTER_FAILURES + 1):
        happen()

    pump_and_work()

    assert len(receiver.calls) == OPENS_AFTER_FAILURES + 1
    assert view(receiver.target).state is BreakerState.CLOSED
    assert hook(made.webhook).is_active


def test_a_slow_target_gets_few_calls_at_a_time(calling: People, receiver: Receiver) -> None:
    make_hook(receiver.url, "promotion.*")
    for _ in range(CALLS_AT_ONCE + 1):
        happen()
    webhook_pump.pump()
    with transaction() as session:  # as if other workers were calling it
        for row in deliveries()[:CALLS_AT_ONCE]:
            held = session.get_one(WebhookDelivery, row.id)
            held.state = DeliveryState.SENDING
            held.leased_until = utc_now() + timedelta(seconds=60)

    work_off()

    assert receiver.calls == []
    last = deliveries()[-1]
    assert (last.state, last.failures) == (DeliveryState.PENDING, 0)
    assert last.due_at < utc_now() + timedelta(seconds=3)


def test_what_waits_too_long_is_given_up(failing: Receiver) -> None:
    with later(days=4):
        work_off()
        found = states()

    assert set(found) == {DeliveryState.FAILED}
    assert len(failing.calls) == OPENS_AFTER_FAILURES


def test_nobody_at_home_opens_the_circuit_too(calling: People) -> None:
    port = unused_port()
    make_hook(f"http://127.0.0.1:{port}/", "promotion.*")
    for _ in range(OPENS_AFTER_FAILURES):
        happen()

    pump_and_work()

    assert view(f"127.0.0.1:{port}").state is BreakerState.OPEN
    errors = {attempt.error for row in deliveries() for attempt in row.attempts}
    assert errors == {"connect_failed"}
