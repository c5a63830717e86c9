"""Which requests an actor may see, and what it is to one of them.

Own requests are always readable; those of a site with requests:read on it; those without a site
by whoever holds requests:read everywhere; and those one is assigned to.
"""

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true

from core.clock import utc_now
from core.errors import ForbiddenError, NotFoundError
from models.access_grants import AccessGrant
from models.engine import db
from models.environments import Environment
from models.requests import (
    ChangeRequest,
    RequestReview,
    RequestState,
    RequestType,
    request_assignees,
)
from models.roles import Role
from models.sites import Membership, Site
from services import access, approval_rules, approvers, request_moves
from services.actors import Actor, Via
from services.approval_rules import Rule
from services.approvers import Ballot
from services.request_moves import Action, Party

READ, FILE, RUN, OVERRIDE = (
    "requests:read",
    "requests:write",
    "requests:execute",
    "requests:override",
)


def visible_requests(*, actor: Actor) -> Select[ChangeRequest]:
    """Return a query limited to the requests the actor may know of."""
    return select(ChangeRequest).where(_is_visible(actor))


def find_request(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request the actor may see.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: the credential carries no requests:read.
    """
    request = db.session.scalar(visible_requests(actor=actor).where(ChangeRequest.id == number))
    if request is None:
        raise NotFoundError("There is no such request, or you may not see it.")
    return request


def require_filing(*, actor: Actor, site: Site | None) -> None:
    """Refuse unless the actor may file and comment here.

    Raises:
        ForbiddenError: requests:write is missing.
    """
    if FILE not in scopes_on(actor=actor, site=site) | actor.limit(actor.role_scopes):
        raise ForbiddenError.missing_scopes(required=[FILE], missing=[FILE])


def scopes_on(*, actor: Actor, site: Site | None) -> frozenset[str]:
    """Return what the actor holds on a site; without one what it holds over all sites."""
    if site is not None:
        return access.site_scopes(actor=actor, site=site)
    unlimited = actor.sees_all_sites and actor.token_site_ids is None
    return actor.limit(actor.role_scopes) if unlimited else frozenset()


def ballot_of(*, request: ChangeRequest, rule: Rule | None = None) -> Ballot:
    """Return what an approval of a request needs.

    Who agrees to give a role must hold it all: nobody grants more than they hold.
    """
    rule = rule or rule_of(request=request)
    scopes = {approvers.REVIEW}
    if request.type is RequestType.ACCESS:
        name = request.payload.get("role")
        role = db.session.scalar(select(Role).where(Role.name == name))
        scopes |= set(role.effective if role else ())
    people = (request.requester_id, request.beneficiary_id)
    return Ballot(
        site_id=request.site_id,
        scopes=frozenset(scopes),
        role_id=rule.approver_role_id,
        excluded=frozenset(person for person in people if person is not None),
    )


def rule_of(*, request: ChangeRequest) -> Rule:
    """Return the approval policies that hold for a request, taken together, as they are now."""
    place_id = environment_id_of(request=request)
    place = db.session.get(Environment, place_id) if place_id is not None else None
    return approval_rules.rule_for(kind=request.type, site_id=request.site_id, environment=place)


def environment_id_of(*, request: ChangeRequest) -> int | None:
    """Return the id of the environment a request is about, None when it is gone."""
    if request.site_id is None or request.environment is None:
        return None
    return db.session.scalar(
        select(Environment.id).where(
            Environment.site_id == request.site_id, Environment.name == request.environment
        )
    )


def parties(*, actor: Actor, request: ChangeRequest) -> frozenset[Party]:
    """Return everything the actor is to a request."""
    if actor.via is Via.SYSTEM:
        return frozenset({Party.SYSTEM})
    held = scopes_on(actor=actor, site=request.site)
    is_requester = actor.user_id is not None and actor.user_id == request.requester_id
    found = set()
    if is_requester and FILE in actor.limit(actor.role_scopes | held):
        found.add(Party.REQUESTER)
    if RUN in held and _reaches(actor, request):
        found.add(Party.EXECUTOR)
    if "admin" in actor.limit(actor.role_scopes):
        found.add(Party.ADMIN)
    if not is_requester:
        found |= _judges(actor, request, held)
    return frozenset(found)


def allowed_actions(*, actor: Actor, request: ChangeRequest) -> list[str]:
    """Return what the actor may do to a request now."""
    mine = parties(actor=actor, request=request)
    actions = request_moves.allowed(state=request.state, kind=request.type, parties=mine)
    if Action.APPROVE in actions and _review_of(actor, request) is not None:
        actions.remove(Action.APPROVE)
    if Action.RETRY in actions and request.attempts > request_moves.MOST_RETRIES:
        actions.remove(Action.RETRY)
    if Action.EXECUTE in actions and not is_time(request=request):
        actions.remove(Action.EXECUTE)
    return [action.value for action in actions]


def is_time(*, request: ChangeRequest) -> bool:
    """Tell whether an approved request may run now: not before its time, not after its term."""
    now = utc_now()
    is_early = request.scheduled_for is not None and request.scheduled_for > now
    until = request.approval_valid_until
    return not is_early and (until is None or until > now)


def own_review(*, actor: Actor, request: ChangeRequest) -> RequestReview | None:
    """Return the actor's verdict on the present revision, unless it was withdrawn."""
    return _review_of(actor, request)


def _judges(actor: Actor, request: ChangeRequest, held: frozenset[str]) -> set[Party]:
    """Return what somebody who is not the requester may be: reviewer, voter, assignee."""
    found: set[Party] = set()
    if actor.user_id is None:
        return found
    if approvers.REVIEW in held:
        found.add(Party.REJECTER)
        if actor.user_id != request.beneficiary_id:
            found.add(Party.REVIEWER)
    if _review_of(actor, request) is not None:
        found.add(Party.VOTER)
    if OVERRIDE in held and actor.user_id != request.beneficiary_id:
        found.add(Party.OVERRIDER)
    if any(user.id == actor.user_id for user in request.assignees):
        found.add(Party.ASSIGNEE)
    return found


def _reaches(actor: Actor, request: ChangeRequest) -> bool:
    """Tell whether a token's list of environments lets it carry out this request."""
    limit = actor.token_environments
    return limit is None or request.environment is None or request.environment in limit


def _review_of(actor: Actor, request: ChangeRequest) -> RequestReview | None:
    if actor.user_id is None or request.state not in (RequestState.PENDING, RequestState.APPROVED):
        return None
    return db.session.scalar(
        select(RequestReview).where(
            RequestReview.request_id == request.id,
            RequestReview.revision == request.revision,
            RequestReview.user_id == actor.user_id,
            RequestReview.post_review.is_(False),
            RequestReview.withdrawn_at.is_(None),
        )
    )


def _is_visible(actor: Actor) -> ColumnElement[bool]:
    mine = or_(
        ChangeRequest.requester_id == actor.user_id,
        ChangeRequest.id.in_(
            select(request_assignees.c.request_id).where(
                request_assignees.c.user_id == actor.user_id
            )
        ),
    )
    ways: list[ColumnElement[bool]] = [mine] if actor.user_id is not None else []
    if READ in actor.limit(actor.role_scopes) and actor.sees_all_sites:
        ways.append(true())
    elif READ in actor.limit({READ}):
        ways.append(ChangeRequest.site_id.in_(_readable_sites(actor)))
    seen = or_(false(), *ways)
    if actor.token_site_ids is not None:
        return and_(seen, ChangeRequest.site_id.in_(actor.token_site_ids))
    return seen


def _readable_sites(actor: Actor) -> list[int]:
    """Return the sites where a role of the actor, by membership or grant, carries requests:read."""
    member = (
        select(Membership.site_id, Role.effective)
        .join(Role, Role.id == Membership.role_id)
        .where(Membership.user_id == actor.user_id)
    )
    granted = (
        select(AccessGrant.site_id, Role.effective)
        .join(Role, Role.id == AccessGrant.role_id)
        .where(AccessGrant.user_id == actor.user_id, access.grant_counts())
    )
    rows = [*db.session.execute(member), *db.session.execute(granted)]
    return [site_id for site_id, effective in rows if READ in effective]
