"""What time does to requests, with a moved clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from core.errors import ConflictError, ErrorCode, InvalidInputError, NotFoundError
from models.engine import db
from models.request_events import RequestEvent
from models.requests import ChangeRequest, RequestState, RequestType
from services import (
    access,
    approval_policies,
    environments,
    request_clock,
    request_execution,
    request_post_reviews,
    request_reviews,
    requests,
)
from services.actors import Actor
from services.approval_policies import PolicyChange, PolicyOrder
from services.request_payloads import AccessPayload, GeneralPayload, PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading
from services.users import deactivate
from tests.factories import OPERATOR, live, make_site, promote, refused, upload
from tests.people import PASSWORD, People

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(inside: People) -> Iterator[time_machine.Traveller]:
    """The site `web` with ana (deployer), rita and rolf (reviewers), at START."""
    with time_machine.travel(START, tick=False) as traveller:
        for name in ("ana", "rita", "rolf", "otto"):
            inside.user(name)
        make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer", otto="owner")
        upload("two")
        yield traveller


@pytest.fixture
def people(inside: People, clock: time_machine.Traveller) -> People:
    return inside


def guard(kind: RequestType = RequestType.PROMOTION, count: int = 1, hours: int = 24) -> str:
    """Ask for approvals; returns the id of the policy."""
    order = PolicyOrder(type=kind, required_approvals=count, valid_hours=hours)
    return approval_policies.create_policy(actor=OPERATOR, order=order).id


def filed(actor: Actor, **order: object) -> int:
    """File a promotion of release 2 to main."""
    values = {"title": "Easter", "site": "web", "payload": PromotionPayload(), **order}
    return requests.file_request(actor=actor, order=RequestOrder(**values)).number  # type: ignore[arg-type]


def shown(number: int) -> ChangeRequest:
    end_reading()
    return db.session.get_one(ChangeRequest, number, populate_existing=True)


def kinds(number: int) -> list[str]:
    """Return what happened to a request, oldest first."""
    end_reading()
    query = select(RequestEvent.kind).where(RequestEvent.request_id == number)
    return list(db.session.scalars(query.order_by(RequestEvent.id)))


def test_what_nobody_decides_expires(people: People, clock: time_machine.Traveller) -> None:
    guard()
    number = filed(people.actor("ana"))

    clock.shift(timedelta(hours=requests.PENDING_HOURS - 1))
    request_clock.tick()
    before = shown(number).state
    clock.shift(HOUR)
    request_clock.tick()

    assert (before, shown(number).state) == (RequestState.PENDING, RequestState.EXPIRED)
    assert kinds(number) == ["created", "submitted", "reminded", "expired"]
    assert live() == 1


def test_reviewers_are_reminded_at_half_time_and_shortly_before_the_end(
    people: People, clock: time_machine.Traveller
) -> None:
    guard()
    number = filed(people.actor("ana"))

    seen = []
    for share in (0.49, 0.5, 0.51, 0.9, 0.95):
        clock.move_to(START + timedelta(hours=requests.PENDING_HOURS) * share)
        request_clock.tick()
        seen.append(kinds(number).count("reminded"))

    assert seen == [0, 1, 1, 2, 2]


def test_waiting_for_an_answer_stops_the_clock(
    people: People, clock: time_machine.Traveller
) -> None:
    guard()
    ana, rita = people.actor("ana"), people.actor("rita")
    number = filed(ana)
    request_reviews.request_info(actor=rita, number=number, comment="Who?")

    clock.shift(timedelta(hours=2 * requests.PENDING_HOURS))
    request_clock.tick()
    waiting = shown(number).state
    requests.answer(actor=ana, number=number, comment="Me.")
    request_clock.tick()

    assert (waiting, shown(number).state) == (RequestState.NEEDS_INFO, RequestState.PENDING)
    left = timedelta(hours=3 * requests.PENDING_HOURS)
    assert shown(number).pending_expires_at == START + left


def test_an_approval_that_is_not_used_expires(
    people: People, clock: time_machine.Traveller
) -> None:
    guard(hours=24)
    ana = people.actor("ana")
    number = filed(ana, auto_execute=False)
    request_reviews.approve(actor=people.actor("rita"), number=number)

    clock.shift(24 * HOUR)
    with pytest.raises(ConflictError) as refusal:
        request_execution.execute(actor=ana, number=number)

    assert refusal.value.code is ErrorCode.INVALID_TRANSITION
    assert refusal.value.members == {"state": "expired", "allowed_actions": []}
    assert shown(number).state is RequestState.EXPIRED
    assert kinds(number)[-1] == "expired"
    assert live() == 1


def test_a_scheduled_request_runs_at_its_time_and_not_before(
    people: People, clock: time_machine.Traveller
) -> None:
    guard(hours=24)
    ana = people.actor("ana")
    number = filed(ana, scheduled_for=START + 48 * HOUR)
    request_reviews.approve(actor=people.actor("rita"), number=number)

    clock.move_to(START + 47 * HOUR)
    request_clock.tick()
    with refused(ErrorCode.INVALID_TRANSITION):
        request_execution.execute(actor=ana, number=number)
    early = live()
    clock.move_to(START + 48 * HOUR)
    request_clock.tick()

    assert (early, live(), shown(number).state) == (1, 2, RequestState.COMPLETED)


def test_a_request_that_a_lock_stops_runs_when_the_lock_is_gone(people: People) -> None:
    guard()
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair")
    number = filed(people.actor("ana"))
    request_reviews.approve(actor=people.actor("rita"), number=number)
    request_clock.tick()
    stopped = (shown(number).state, shown(number).postponed_code, live())

    environments.unlock(actor=OPERATOR, slug="web", name="main")
    request_clock.tick()

    assert stopped == (RequestState.APPROVED, "environment_locked", 1)
    assert (shown(number).state, live()) == (RequestState.COMPLETED, 2)
    assert kinds(number).count("postponed") == 1


def test_an_approval_gets_stale_by_the_clock_when_the_target_moved(people: People) -> None:
    policy = guard()
    number = filed(people.actor("ana"), auto_execute=False)
    request_reviews.approve(actor=people.actor("rita"), number=number)
    end_reading()
    approval_policies.update_policy(
        actor=OPERATOR, policy_id=policy, change=PolicyChange(required_approvals=0)
    )
    upload("three")
    promote(3)

    request_clock.tick()

    request = shown(number)
    assert request.state is RequestState.STALE
    assert {change["field"] for change in request.changed or ()} == {
        "live_digest",
        "live_release",
        "policy",
    }


def test_an_approval_does_not_outlive_the_approver(people: People) -> None:
    guard()
    number = filed(people.actor("ana"), auto_execute=False)
    request_reviews.approve(actor=people.actor("rita"), number=number)

    deactivate(actor=OPERATOR, username="rita")
    with pytest.raises(ConflictError) as refusal:
        request_execution.execute(actor=people.actor("ana"), number=number)

    assert refusal.value.code is ErrorCode.APPROVAL_STALE
    assert refusal.value.members["changed"] == [{"field": "approvals", "old": 1, "new": 0}]
    assert (shown(number).state, live()) == (RequestState.STALE, 1)


def test_what_waits_is_let_through_when_no_policy_asks_any_more(people: People) -> None:
    policy = guard()
    number = filed(people.actor("ana"))

    approval_policies.delete_policy(actor=OPERATOR, policy_id=policy)
    request_clock.tick()

    assert (shown(number).state, live()) == (RequestState.COMPLETED, 2)


def test_access_counts_from_activation_and_ends_by_itself(
    people: People, clock: time_machine.Traveller
) -> None:
    guard(RequestType.ACCESS)
    people.user("nina")
    wish = AccessPayload(username="nina", role="deployer", duration_hours=2)
    number = filed(people.actor("ana"), payload=wish)
    clock.shift(5 * HOUR)
    request_reviews.approve(actor=people.actor("otto"), number=number)
    nina = people.actor("nina")

    held = access.find_site(actor=nina, slug="web", scopes=("promotions:write",)).slug
    clock.shift(2 * HOUR - timedelta(seconds=1))
    access.find_site(actor=people.actor("nina"), slug="web")
    clock.shift(timedelta(seconds=1))
    end_reading()

    with pytest.raises(NotFoundError):
        access.find_site(actor=people.actor("nina"), slug="web")
    assert held == "web"
    assert kinds(number)[-1] == "completed"
    request_clock.tick()
    request_clock.tick()
    assert kinds(number)[-2:] == ["completed", "grant_ended"]


def test_nobody_agrees_to_more_rights_than_they_hold(people: People) -> None:
    guard(RequestType.ACCESS)
    people.user("nina")
    wish = AccessPayload(username="nina", role="owner", duration_hours=2)
    number = filed(people.actor("ana"), payload=wish)

    with refused(ErrorCode.SCOPE_NOT_HELD):
        request_reviews.approve(actor=people.actor("rita"), number=number)


def test_who_would_benefit_does_not_approve(people: People) -> None:
    guard(RequestType.ACCESS)
    wish = AccessPayload(username="otto", role="deployer", duration_hours=2)
    people.user("olga")
    people.members("web", olga="owner")
    number = filed(people.actor("ana"), payload=wish)

    with refused(ErrorCode.SELF_APPROVAL):
        request_reviews.approve(actor=people.actor("otto"), number=number)


def test_an_override_is_loud_and_reviewed_afterwards(
    people: People, clock: time_machine.Traveller
) -> None:
    guard(count=2)
    number = filed(people.actor("ana"))
    root = people.actor("root")

    with pytest.raises(InvalidInputError):
        request_reviews.override(actor=root, number=number, reason="fire", password="wrong")
    request_reviews.override(actor=root, number=number, reason="fire", password=PASSWORD)
    done = shown(number)
    clock.shift(timedelta(hours=request_reviews.POST_REVIEW_HOURS))
    request_clock.tick()
    request_clock.tick()

    assert (done.state, done.emergency, live()) == (RequestState.COMPLETED, True, 2)
    assert kinds(number).count("post_review_overdue") == 1
    review = request_post_reviews.PostReview(was_right=True)
    with refused(ErrorCode.SELF_APPROVAL):
        request_post_reviews.review_afterwards(actor=root, number=number, review=review)
    request_post_reviews.review_afterwards(actor=people.actor("rita"), number=number, review=review)
    assert shown(number).post_reviewed_at is not None


def test_history_stays_when_everything_has_ended(
    people: People, clock: time_machine.Traveller
) -> None:
    guard()
    guard(RequestType.GENERAL)
    first = filed(people.actor("ana"))
    second = filed(people.actor("ana"), payload=GeneralPayload())

    clock.shift(timedelta(days=400))
    request_clock.tick()

    assert [shown(number).state for number in (first, second)] == [RequestState.EXPIRED] * 2
    assert [kinds(number)[:2] for number in (first, second)] == [["created", "submitted"]] * 2
