"""Every cell of the table of moves: state x action x kind of person, tried for real."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, update

from core.clock import utc_now
from models.promotions import Promotion, PromotionState
from models.requests import (
    ChangeRequest,
    RequestExecution,
    RequestReview,
    RequestState,
    RequestType,
    Verdict,
)
from services import request_access, request_facts, request_log, request_moves
from services.request_moves import Action
from services.transaction import transaction
from tests import engines
from tests.api import request_cells as cells
from tests.api.request_cells import CELLS, Cell
from tests.factories import make_site, upload
from tests.people import PASSWORD, Caller, People, find, make_people

NAMES = {
    cells.REQUESTER: "ana",
    cells.REVIEWER: "rita",
    cells.VOTER: "rolf",
    cells.EXECUTOR: "dora",
    cells.READER: "rex",
    cells.ADMIN: "root",
}
BODIES: dict[Action, dict[str, object]] = {
    Action.REJECT: {"reason": "no"},
    Action.REQUEST_INFO: {"comment": "why?"},
    Action.ANSWER: {"comment": "because"},
    Action.OVERRIDE: {"reason": "fire", "password": PASSWORD},
}
WITH_A_VOTE = (RequestState.APPROVED, RequestState.EXECUTING, RequestState.FAILED)
PLACES = [(kind, state) for kind in cells.MAY for state in RequestState]


class Board:
    """Two requests, one to promote and one in words, put into any state at will."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.callers: dict[str, Caller] = {}
        body = {"type": "promotion", "title": "Easter", "site": "web", "payload": {}}
        self.promotion = self._file({**body, "auto_execute": False})
        self.general = self._file({"type": "general", "title": "Logo", "site": "web"})

    def call(self, cell: Cell) -> tuple[int, str | None]:
        """Do it; return status and code of the answer."""
        body, number = BODIES.get(cell.action, {}), self.number(cell)
        answer = self.caller(cell.kind).post(f"/requests/{number}/{cell.action.value}", body)
        return answer.status_code, answer.json.get("code")

    def number(self, cell: Cell) -> int:
        """Return the request that an action is about."""
        return self.general if cell.action is Action.RESOLVE else self.promotion

    def put(self, cell: Cell) -> int:
        """Bring the request that the action is about into the state of a cell."""
        number = self.number(cell)
        votes = cell.state in WITH_A_VOTE or cell.kind == cells.VOTER
        with self.people.app.app_context(), transaction() as session:
            request = request_log.locked(number=number)
            rule = request_access.rule_of(request=request)
            facts = request_facts.facts_of(request=request, rule=rule)
            for table in (RequestReview, RequestExecution):
                session.execute(delete(table).where(table.request_id == number))
            session.execute(
                update(Promotion)
                .where(Promotion.request_id == number)
                .values(state=PromotionState.SUPERSEDED)
            )
            session.execute(
                update(ChangeRequest)
                .where(ChangeRequest.id == number)
                .values(
                    state=cell.state,
                    attempts=0,
                    facts=facts,
                    fingerprint=request_facts.fingerprint_of(facts=facts),
                    required_approvals=1,
                    emergency=False,
                    post_review_due_at=None,
                )
            )
            if votes:
                session.add(
                    RequestReview(
                        request_id=number,
                        revision=request.revision,
                        user_id=find_id(NAMES[cells.VOTER]),
                        verdict=Verdict.APPROVE,
                        created_at=utc_now(),
                    )
                )
        return number

    def shown(self, cell: Cell) -> dict[str, Any]:
        """Return the request as the person sees it."""
        found: dict[str, Any] = self.caller(cell.kind).get(f"/requests/{self.number(cell)}").json
        return found

    def caller(self, kind: str) -> Caller:
        """Return the person of a kind."""
        if kind not in self.callers:
            self.callers[kind] = self.people.caller(NAMES[kind])
        return self.callers[kind]

    def _file(self, body: dict[str, object]) -> int:
        answer = self.caller(cells.REQUESTER).post("/requests", body)
        assert answer.status_code == 201, answer.json
        return int(answer.json["number"])


IDS: dict[str, int] = {}


def find_id(username: str) -> int:
    """Return the id of a user, looked up before the unit of work."""
    return IDS[username]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    data_dir = tmp_path_factory.mktemp("board")
    people = make_people(data_dir)
    for name in ("ana", "rita", "rolf", "dora", "rex"):
        people.user(name)
    with people.app.app_context():
        make_site(
            main=("one",),
            ana="deployer",
            rita="reviewer",
            rolf="reviewer",
            dora="deployer",
            rex="reader",
        )
        upload("two")
        IDS.update({name: find(name).id for name in NAMES.values()})
    for kind in ("promotion", "general"):
        policy = {"type": kind, "required_approvals": 1}
        assert people.caller("root").post("/approval-policies", policy).status_code == 201
    yield Board(people)
    engines.give_back_database(data_dir)


def test_every_cell_is_declared() -> None:
    assert len(CELLS) == len(cells.MAY) * len(RequestState) * len(Action) == 792


@pytest.mark.parametrize(
    ("kind", "state"), PLACES, ids=[f"{kind} in {state.value}" for kind, state in PLACES]
)
def test_a_person_gets_the_declared_answers(board: Board, kind: str, state: RequestState) -> None:
    row = [cell for cell in CELLS if (cell.kind, cell.state) == (kind, state)]
    wanted = {cell.action.value for cell in row if cell.status == 200}
    resolve = next(cell for cell in row if cell.action is Action.RESOLVE)
    for cell in (row[0], resolve):
        board.put(cell)

    shown = {cell.action: board.shown(cell) for cell in (row[0], resolve)}
    refused = {cell: board.call(cell) for cell in row if cell.status != 200}
    after = {cell.action: board.shown(cell) for cell in (row[0], resolve)}

    assert set(shown[row[0].action]["allowed_actions"]) == wanted - {"resolve"}
    assert ("resolve" in shown[Action.RESOLVE]["allowed_actions"]) == (resolve.status == 200)
    assert refused == {cell: (cell.status, cell.code) for cell in refused}
    assert after == shown
    for cell in row:
        if cell.status == 200:
            board.put(cell)
            assert board.call(cell) == (200, None), cell
            assert board.shown(cell)["state"] == cell.end.value


def test_the_table_knows_no_way_out_of_a_final_state() -> None:
    ways = [
        (source, target)
        for source in request_moves.FINAL
        for target in RequestState
        if request_moves.may_follow(source, target)
    ]

    assert ways == []


def test_every_type_can_be_filed_or_is_refused_by_name() -> None:
    assert set(RequestType) - {RequestType.GENERAL} == request_moves.CAN_RUN
