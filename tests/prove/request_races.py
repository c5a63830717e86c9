"""Six approvers and six executors at once: one approval, one execution, on every engine."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from core.errors import DomainError
from models.engine import db
from models.promotions import Promotion
from models.request_events import RequestEvent
from models.requests import ChangeRequest, RequestExecution, RequestReview, RequestType
from services import approval_policies, request_execution, request_reviews, requests
from services.actors import Actor
from services.approval_policies import PolicyOrder
from services.request_payloads import PromotionPayload
from services.requests import RequestOrder
from services.transaction import end_reading
from tests import engines
from tests.factories import OPERATOR, make_site, upload
from tests.people import People, make_people
from tests.threads import together

NAME = "requests"
TITLE = "Parallel approvers and executors"
THRESHOLDS = {
    "requests not approved exactly once": "== 0",
    "requests not carried out exactly once": "== 0",
    "approvals by the requester": "== 0",
    "second votes of one person": "== 0",
    "unexpected answers": "== 0",
}
ROUNDS, QUICK_ROUNDS = 100, 5
REQUIRED = 2
APPROVERS = ("ana", "rita", "rita", "rolf", "rosa", "ruth")
"""The first filed the request, and one votes twice."""
EXECUTORS = ("ana", "ana", "dora", "dora", "otto", "otto")
LATE = frozenset(
    {"ok", "already_reviewed", "invalid_transition", "promotion_in_progress", "self_approval"}
)
ROLES = {
    "ana": "deployer",
    "rita": "reviewer",
    "rolf": "reviewer",
    "rosa": "reviewer",
    "ruth": "reviewer",
    "dora": "deployer",
    "otto": "owner",
}


def run(full: bool) -> dict[str, object]:
    """Race on SQLite, PostgreSQL and MariaDB."""
    total: Counter[str] = Counter()
    for engine in engines.ENGINES:
        total += campaign(engine, ROUNDS if full else QUICK_ROUNDS)
    return figures(total)


def figures(total: Counter[str]) -> dict[str, object]:
    """Return what was counted, with a zero for what never happened."""
    return {"rounds": total["rounds"], **{name: total[name] for name in THRESHOLDS}}


def campaign(engine: str, rounds: int) -> Counter[str]:
    """Let so many requests be approved and carried out by many at once on one engine."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        data_dir = Path(folder)
        if engine == engines.SQLITE:
            address = f"sqlite:///{data_dir / engines.FILE}"
        else:
            home = engines.server(engine)
            address = home.address(home.create())
        people = make_people(data_dir, DATABASE_URL=address)
        try:
            with people.app.app_context():
                return _race(people, rounds)
        finally:
            with people.app.app_context():
                db.session.remove()
                db.engine.dispose()


def _race(people: People, rounds: int) -> Counter[str]:
    for name in ROLES:
        people.user(name)
    make_site(main=("one",), **ROLES)
    upload("two")
    order = PolicyOrder(type=RequestType.PROMOTION, required_approvals=REQUIRED)
    approval_policies.create_policy(actor=OPERATOR, order=order)
    actors = {name: people.actor(name) for name in ROLES}
    total: Counter[str] = Counter(rounds=rounds)
    for turn in range(rounds):
        payload = PromotionPayload(release=2 - turn % 2, allow_older=True)
        wish = RequestOrder(title="Race", site="web", payload=payload, auto_execute=False)
        number = requests.file_request(actor=actors["ana"], order=wish).number
        total += _approve(people, actors, number)
        total += _execute(people, actors, number)
        end_reading()
    return total


def _approve(people: People, actors: dict[str, Actor], number: int) -> Counter[str]:
    calls = [
        partial(request_reviews.approve, actor=actors[name], number=number) for name in APPROVERS
    ]
    answers = [_code(outcome) for outcome in together(people.app, *calls)]
    end_reading()
    votes = db.session.scalar(
        select(func.count()).select_from(RequestReview).where(RequestReview.request_id == number)
    )
    approved = _events(number, "approved")
    of_rita = [code for name, code in zip(APPROVERS, answers, strict=True) if name == "rita"]
    return Counter(
        {
            "requests not approved exactly once": approved != 1
            or answers.count("ok") != REQUIRED
            or votes != REQUIRED,
            "approvals by the requester": answers[0] != "self_approval",
            "second votes of one person": of_rita.count("ok") > 1,
            "unexpected answers": _unexpected(answers),
        }
    )


def _execute(people: People, actors: dict[str, Actor], number: int) -> Counter[str]:
    calls = [
        partial(request_execution.execute, actor=actors[name], number=number) for name in EXECUTORS
    ]
    answers = [_code(outcome) for outcome in together(people.app, *calls)]
    end_reading()
    executions = db.session.scalar(
        select(func.count())
        .select_from(RequestExecution)
        .where(RequestExecution.request_id == number)
    )
    promotions = db.session.scalars(
        select(Promotion.state).where(Promotion.request_id == number)
    ).all()
    state = db.session.scalar(select(ChangeRequest.state).where(ChangeRequest.id == number))
    is_once = (
        answers.count("ok") == 1
        and executions == 1
        and [entry.value for entry in promotions] == ["succeeded"]
        and state is not None
        and state.value == "completed"
        and _events(number, "executing") == _events(number, "completed") == 1
    )
    return Counter(
        {
            "requests not carried out exactly once": not is_once,
            "unexpected answers": _unexpected(answers),
        }
    )


def _events(number: int, kind: str) -> int:
    query = select(func.count()).select_from(RequestEvent)
    query = query.where(RequestEvent.request_id == number, RequestEvent.kind == kind)
    return db.session.scalar(query) or 0


def _unexpected(answers: Sequence[str]) -> int:
    return sum(1 for answer in answers if answer not in LATE)


def _code(outcome: object) -> str:
    if isinstance(outcome, DomainError):
        return outcome.code.value
    return "ok" if isinstance(outcome, ChangeRequest) else repr(outcome)
