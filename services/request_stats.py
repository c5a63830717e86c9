"""How fast requests are answered, decided and done; computed from their events alone."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from core.clock import utc_now
from models.engine import db
from models.request_events import RequestEvent
from models.requests import ChangeRequest, RequestPriority, RequestState, RequestType
from models.users import User
from services import request_access
from services.actors import Actor, Via

MOST_COUNTED = 10_000
"""How many requests are counted, newest first."""
_IDS_AT_ONCE = 500
ANSWERS = frozenset(
    {"voted", "approved", "rejected", "info_requested", "commented", "overridden", "resolved"}
)
DECISIONS = frozenset({"approved", "rejected", "overridden", "resolved"})
ENDS = frozenset({"completed", "resolved"})
VOTES = frozenset({"voted", "approved", "rejected", "overridden"})
OWED_HOURS: dict[RequestPriority, tuple[int, int]] = {
    RequestPriority.URGENT: (1, 4),
    RequestPriority.HIGH: (4, 24),
    RequestPriority.NORMAL: (24, 72),
    RequestPriority.LOW: (48, 168),
}
"""Within how many hours a first answer and a decision are owed; waiting for the requester does
not count."""


@dataclass(frozen=True, kw_only=True)
class StatsFilter:
    """Which requests to count; `since` and `until` are about when they were filed."""

    site: str | None = None
    type: RequestType | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How long something took, over all requests where it happened."""

    count: int
    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Breaches:
    """How many were owed something and got it late or not yet."""

    response: int
    decision: int
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Reviewer:
    """What one person decided."""

    reviewer: str
    approvals: int
    rejections: int
    overrides: int


@dataclass(frozen=True, kw_only=True)
class RequestStats:
    """Figures about requests."""

    total: int
    by_state: dict[str, int]
    by_type: dict[str, int]
    by_priority: dict[str, int]
    first_response: Durations
    decision: Durations
    completion: Durations
    breaches: Breaches
    stale: int
    rejected: int
    overdue: int
    oldest_pending: int | None
    oldest_pending_since: datetime | None
    reviewers: list[Reviewer]


@dataclass(kw_only=True)
class _Story:
    """What the events of one request say; the waiting for its requester is left out."""

    request: ChangeRequest
    submitted_at: datetime | None = None
    paused_at: datetime | None = None
    paused: timedelta = field(default_factory=timedelta)
    answered: timedelta | None = None
    decided: timedelta | None = None
    ended: timedelta | None = None

    def read(self, event: RequestEvent) -> None:
        """Take one event in; they come in their order."""
        if event.kind == "submitted" and self.submitted_at is None:
            self.submitted_at = event.at
        if self.submitted_at is None:
            return
        self._pause(event)
        passed = event.at - self.submitted_at - self.paused
        if self.answered is None and event.kind in ANSWERS and _is_by_others(event, self.request):
            self.answered = passed
        if self.decided is None and event.kind in DECISIONS and _is_decision(event, self.request):
            self.decided = passed
        if event.kind in ENDS:
            self.ended = passed

    def _pause(self, event: RequestEvent) -> None:
        if event.kind == "info_requested":
            self.paused_at = event.at
        elif self.paused_at is not None and event.from_state == RequestState.NEEDS_INFO:
            self.paused += event.at - self.paused_at
            self.paused_at = None

    def late(self, taken: timedelta | None, hours: int, now: datetime) -> bool:
        """Tell whether something that is owed within `hours` came late, or is late by now."""
        if self.submitted_at is None:
            return False
        if taken is not None:
            return taken > timedelta(hours=hours)
        is_waiting = self.request.state is RequestState.PENDING
        waited = now - self.submitted_at - self.paused
        return is_waiting and waited > timedelta(hours=hours)


def collect(*, actor: Actor, wanted: StatsFilter | None = None) -> RequestStats:
    """Return figures about the requests the actor may see."""
    requests = _requests(actor, wanted or StatsFilter())
    stories = {request.id: _Story(request=request) for request in requests}
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    stale = 0
    for event in _events(list(stories)):
        story = stories[event.request_id]
        story.read(event)
        stale += event.kind == "stale"
        if event.kind in VOTES and event.user_id and _is_decision(event, story.request):
            votes[event.user_id][event.kind] += 1
    waiting = [request for request in requests if request.state is RequestState.PENDING]
    oldest = min(waiting, key=lambda request: request.submitted_at or utc_now(), default=None)
    return RequestStats(
        total=len(requests),
        by_state=_counted(request.state.value for request in requests),
        by_type=_counted(request.type.value for request in requests),
        by_priority=_counted(request.priority.value for request in requests),
        first_response=_durations([story.answered for story in stories.values()]),
        decision=_durations([story.decided for story in stories.values()]),
        completion=_durations([story.ended for story in stories.values()]),
        breaches=_breaches(list(stories.values())),
        stale=stale,
        rejected=sum(1 for request in requests if request.state is RequestState.REJECTED),
        overdue=sum(1 for request in requests if _is_overdue(request)),
        oldest_pending=oldest.number if oldest else None,
        oldest_pending_since=oldest.submitted_at if oldest else None,
        reviewers=_reviewers(votes),
    )


def _requests(actor: Actor, wanted: StatsFilter) -> Sequence[ChangeRequest]:
    query = request_access.visible_requests(actor=actor)
    if wanted.site is not None:
        query = query.where(ChangeRequest.site_slug == wanted.site)
    if wanted.type is not None:
        query = query.where(ChangeRequest.type == wanted.type)
    if wanted.since is not None:
        query = query.where(ChangeRequest.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(ChangeRequest.created_at < wanted.until)
    return db.session.scalars(query.order_by(ChangeRequest.id.desc()).limit(MOST_COUNTED)).all()


def _events(ids: Sequence[int]) -> Iterable[RequestEvent]:
    """Yield the events of requests in their order; many are asked for in parts."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        query = select(RequestEvent).where(RequestEvent.request_id.in_(part))
        yield from db.session.scalars(query.order_by(RequestEvent.id))


def _is_by_others(event: RequestEvent, request: ChangeRequest) -> bool:
    return event.via != Via.SYSTEM.value and event.user_id != request.requester_id


def _is_decision(event: RequestEvent, request: ChangeRequest) -> bool:
    """Tell whether a person decided; where no approval is asked for nobody did."""
    return _is_by_others(event, request) or event.kind == "resolved"


def _durations(taken: Sequence[timedelta | None]) -> Durations:
    seconds = sorted(time.total_seconds() for time in taken if time is not None)
    if not seconds:
        return Durations(count=0, median_seconds=None, p90_seconds=None)
    return Durations(
        count=len(seconds),
        median_seconds=statistics.median(seconds),
        p90_seconds=seconds[math.ceil(0.9 * len(seconds)) - 1],
    )


def _breaches(stories: Sequence[_Story]) -> Breaches:
    now, response, decision, either = utc_now(), 0, 0, 0
    owed = [story for story in stories if story.submitted_at is not None]
    for story in owed:
        answer_hours, decision_hours = OWED_HOURS[story.request.priority]
        needs_somebody = story.request.required_approvals > 0
        late_answer = needs_somebody and story.late(story.answered, answer_hours, now)
        late_decision = needs_somebody and story.late(story.decided, decision_hours, now)
        response, decision = response + late_answer, decision + late_decision
        either += late_answer or late_decision
    share = round(either / len(owed), 4) if owed else None
    return Breaches(response=response, decision=decision, share=share)


def _is_overdue(request: ChangeRequest) -> bool:
    is_open = request.closed_at is None
    return is_open and request.due_at is not None and request.due_at < utc_now()


def _reviewers(votes: dict[int, Counter[str]]) -> list[Reviewer]:
    rows = db.session.execute(select(User.id, User.username).where(User.id.in_(list(votes))))
    names = {row.id: row.username for row in rows}
    return sorted(
        (
            Reviewer(
                reviewer=names[user_id],
                approvals=count["voted"] + count["approved"],
                rejections=count["rejected"],
                overrides=count["overridden"],
            )
            for user_id, count in votes.items()
            if user_id in names
        ),
        key=lambda reviewer: reviewer.reviewer,
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
