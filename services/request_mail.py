"""Mail about requests: reviewers hear what waits for them, requesters what became of it.

The mail goes into the queue in the unit of work of the event, so that none is lost and none tells
of what did not happen. It holds no secret and no payload, only where to look.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from core.settings import current_settings
from core.texts import printable
from models.engine import db
from models.requests import ChangeRequest
from models.roles import Role
from models.users import User
from services import approvers, mail, request_access
from services.actors import Actor

MOST_READERS = 50
REVIEWERS_HEAR = frozenset({"submitted", "reminded", "answered", "votes_reset", "stale"})
REQUESTERS_HEAR = frozenset(
    {
        "approved",
        "rejected",
        "info_requested",
        "stale",
        "expired",
        "failed",
        "completed",
        "cancelled",
        "overridden",
        "postponed",
    }
)
ADMINS_HEAR = frozenset({"overridden", "post_review_overdue"})
WORDS: Mapping[str, str] = {
    "submitted": "waits for a review",
    "reminded": "still waits for a review",
    "answered": "was answered and waits for a review",
    "votes_reset": "has changed and has to be reviewed again",
    "approved": "was approved",
    "rejected": "was rejected",
    "info_requested": "needs an answer",
    "stale": "is not what was approved any more; nothing was done",
    "expired": "has expired",
    "failed": "could not be carried out",
    "completed": "was carried out",
    "cancelled": "was cancelled",
    "overridden": "was approved by one person in an emergency",
    "postponed": "is approved and cannot run yet",
    "post_review_overdue": "was overridden, and nobody has looked at that in time",
}


def tell(*, actor: Actor, request: ChangeRequest, kind: str) -> None:
    """Write to everybody whom an event concerns, but not to who caused it."""
    if kind not in WORDS or not mail.is_configured():
        return
    readers = _readers(request, kind) - {actor.user_id or 0}
    users = db.session.scalars(
        select(User).where(User.id.in_(readers), User.is_active.is_(True)).order_by(User.id)
    )
    for user in list(users)[:MOST_READERS]:
        if user.email is not None:
            subject = f"Request {request.number} {WORDS[kind]}"
            mail.send(to=user.email, subject=subject[: mail.MAX_SUBJECT], text=_text(request, kind))


def _readers(request: ChangeRequest, kind: str) -> set[int]:
    found: set[int] = set()
    if kind in REVIEWERS_HEAR:
        found |= approvers.eligible(ballot=request_access.ballot_of(request=request))
    if kind in REQUESTERS_HEAR and request.requester_id is not None:
        found.add(request.requester_id)
    if kind in ADMINS_HEAR:
        found |= _admins()
    return found


def _admins() -> set[int]:
    roles: Iterable[tuple[int, list[str]]] = (
        (role.id, role.effective) for role in db.session.scalars(select(Role))
    )
    admin = [role_id for role_id, effective in roles if "admin" in effective]
    return set(db.session.scalars(select(User.id).where(User.role_id.in_(admin))))


def _text(request: ChangeRequest, kind: str) -> str:
    where = f"{current_settings().public_url}/api/v1/requests/{request.number}"
    lines = [
        f"Request {request.number} {WORDS[kind]}.",
        "",
        printable(request.title),
        *([f"Site: {request.site_slug}"] if request.site_slug else []),
        f"State: {request.state.value}",
        "",
        where,
    ]
    return "\n".join(lines) + "\n"
