"""Any sequence of moves by anybody: no undeclared state, no lost event, no self-approval."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from flask.ctx import AppContext
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from core.errors import DomainError
from models.engine import db
from models.promotions import Promotion, PromotionState
from models.request_events import RequestEvent
from models.requests import (
    ChangeRequest,
    RequestExecution,
    RequestReview,
    RequestState,
    RequestType,
)
from services import (
    approval_policies,
    request_clock,
    request_execution,
    request_moves,
    request_reviews,
    requests,
)
from services.actors import Actor
from services.approval_policies import PolicyOrder
from services.request_moves import Action
from services.request_payloads import GeneralPayload, Payload, PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading, transaction
from tests import engines
from tests.factories import OPERATOR, live, make_site, roll_back
from tests.people import PASSWORD, make_people

ROLES = {"ana": "deployer", "rita": "reviewer", "rolf": "reviewer", "otto": "owner"}
PEOPLE = (*ROLES, "root", "rex")
Move = Callable[[Actor, int], object]
MOVES: dict[Action, Move] = {
    Action.SUBMIT: lambda actor, number: requests.submit(actor=actor, number=number),
    Action.APPROVE: lambda actor, number: request_reviews.approve(actor=actor, number=number),
    Action.REJECT: lambda actor, number: request_reviews.reject(
        actor=actor, number=number, reason="no"
    ),
    Action.WITHDRAW: lambda actor, number: request_reviews.withdraw(actor=actor, number=number),
    Action.REQUEST_INFO: lambda actor, number: request_reviews.request_info(
        actor=actor, number=number, comment="why?"
    ),
    Action.ANSWER: lambda actor, number: requests.answer(actor=actor, number=number, comment="so"),
    Action.REVISE: lambda actor, number: requests.revise(actor=actor, number=number),
    Action.EXECUTE: lambda actor, number: request_execution.execute(actor=actor, number=number),
    Action.RETRY: lambda actor, number: request_execution.retry(actor=actor, number=number),
    Action.OVERRIDE: lambda actor, number: request_reviews.override(
        actor=actor, number=number, reason="fire", password=PASSWORD
    ),
    Action.RESOLVE: lambda actor, number: request_reviews.resolve(actor=actor, number=number),
    Action.CANCEL: lambda actor, number: requests.cancel(actor=actor, number=number),
}


class Town:
    """One installation for all sequences: each works on requests of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="relevo-machine-")
        self.people = make_people(Path(self.folder.name))
        for name in (*ROLES, "rex"):
            self.people.user(name)
        with self.people.app.app_context():
            make_site(main=("one", "two"), rex="reader", **ROLES)
            for kind in (RequestType.PROMOTION, RequestType.GENERAL):
                order = PolicyOrder(type=kind, required_approvals=2)
                approval_policies.create_policy(actor=OPERATOR, order=order)
            self.actors = {name: self.people.actor(name) for name in PEOPLE}

    def close(self) -> None:
        """Let go of the database and the folder."""
        with self.people.app.app_context():
            db.session.remove()
            db.engine.dispose()
        engines.give_back_database(Path(self.folder.name))
        self.folder.cleanup()


class Requests(RuleBasedStateMachine):
    """Everything people and time can do to two requests, in any order."""

    town: Town
    context: AppContext
    numbers: list[int]
    seen: dict[int, int]

    @initialize(automatic=st.booleans())
    def file(self, automatic: bool) -> None:
        self.context = self.town.people.app.app_context()
        self.context.push()
        self.numbers, self.seen = [], {}
        payloads: tuple[Payload, ...] = (
            PromotionPayload(release=2, allow_older=True),
            GeneralPayload(),
        )
        for payload in payloads:
            wish = RequestOrder(
                title="Any", site="web", payload=payload, auto_execute=automatic, draft=True
            )
            filed = requests.file_request(actor=self.town.actors["ana"], order=wish)
            self.numbers.append(filed.number)

    def teardown(self) -> None:
        if hasattr(self, "context"):
            db.session.remove()
            self.context.pop()

    @rule(
        action=st.sampled_from(list(MOVES)),
        name=st.sampled_from(PEOPLE),
        place=st.integers(0, 1),
    )
    def move(self, action: Action, name: str, place: int) -> None:
        number = self.numbers[place]
        before, shown = self._state(number), live()
        try:
            MOVES[action](self.town.actors[name], number)
        except DomainError:
            after = self._state(number)
            assert after is before or after is RequestState.STALE, (before, after)
            assert live() == shown

    @rule(action=st.sampled_from([Action.SUBMIT, Action.APPROVE]), place=st.integers(0, 1))
    def go_on(self, action: Action, place: int) -> None:
        """The usual way, taken often enough to come far."""
        for name in ("ana", "rita", "rolf"):
            self.move(action, name, place)

    @rule(release=st.sampled_from([1, 2]))
    def something_else_goes_live(self, release: int) -> None:
        """A rollback asks nobody, and moves the target of what is approved."""
        roll_back(release=release)

    @rule(hours=st.sampled_from([1, 100, 200]))
    def time_passes(self, hours: int) -> None:
        with transaction() as session:
            for number in self.numbers:
                request = session.get_one(ChangeRequest, number)
                for name in ("pending_expires_at", "approval_valid_until"):
                    moment = getattr(request, name)
                    if moment is not None:
                        setattr(request, name, moment - timedelta(hours=hours))
        request_clock.tick()

    @invariant()
    def the_events_tell_the_whole_way(self) -> None:
        for number in getattr(self, "numbers", ()):
            end_reading()
            events = db.session.scalars(
                select(RequestEvent)
                .where(RequestEvent.request_id == number)
                .order_by(RequestEvent.id)
            ).all()
            assert len(events) >= self.seen.get(number, 0)
            self.seen[number] = len(events)
            state = RequestState.DRAFT
            for event in events:
                if event.to_state is not None:
                    target = RequestState(event.to_state)
                    assert event.from_state == state.value
                    assert request_moves.may_follow(state, target)
                    state = target
            assert self._state(number) is state

    @invariant()
    def nobody_approved_their_own(self) -> None:
        for number in getattr(self, "numbers", ()):
            voters = db.session.scalars(
                select(RequestReview.user_id).where(RequestReview.request_id == number)
            ).all()
            assert self.town.actors["ana"].user_id not in voters

    @invariant()
    def nothing_runs_twice(self) -> None:
        for number in getattr(self, "numbers", ()):
            done = db.session.scalars(
                select(Promotion.id).where(
                    Promotion.request_id == number, Promotion.state == PromotionState.SUCCEEDED
                )
            ).all()
            tried = db.session.scalars(
                select(RequestExecution.id).where(RequestExecution.request_id == number)
            ).all()
            is_done = self._state(number) is RequestState.COMPLETED
            assert len(done) == len(tried) <= 1
            if number == self.numbers[0]:
                assert is_done == (len(done) == 1)

    def _state(self, number: int) -> RequestState:
        end_reading()
        request = db.session.get_one(ChangeRequest, number, populate_existing=True)
        return request.state


def test_no_sequence_breaks_the_machine() -> None:
    Requests.town = Town()
    try:
        machine = Requests.TestCase
        machine.settings = settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        machine().runTest()
    finally:
        Requests.town.close()
