"""Which requests an actor may see, where it may file them, and which rules hold for one.

Own requests are always readable; those of a site with requests:read on it; and those without a
site by whoever holds requests:read everywhere. A draft that was never submitted is seen by who
files it and by administrators. Being assigned shows nobody anything.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true

from core.errors import ForbiddenError, NotFoundError
from models.access_grants import AccessGrant
from models.engine import db
from models.environments import Environment
from models.requests import ChangeRequest, RequestState, RequestType
from models.roles import Role
from models.sites import Membership, Site
from services import access, approval_rules, approvers
from services.actors import Actor
from services.approval_rules import Rule
from services.approvers import Ballot

READ, FILE = "requests:read", "requests:write"


def visible_requests(*, actor: Actor) -> Select[ChangeRequest]:
    """Return a query limited to the requests the actor may know of."""
    return select(ChangeRequest).where(_is_visible(actor))


def find_request(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request the actor may see.

    Raises:
        NotFoundError: there is none, or it may not be seen.
    """
    request = db.session.scalar(visible_requests(actor=actor).where(ChangeRequest.id == number))
    if request is None:
        raise NotFoundError("There is no such request, or you may not see it.")
    return request


def find_readable(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request to be read; whoever filed it reads it with requests:write as well.

    Raises:
        ForbiddenError: the credential carries neither requests:read nor requests:write.
        NotFoundError: there is none, or it may not be seen.
    """
    if not actor.limit({READ, FILE}):
        raise ForbiddenError.missing_scopes(required=[READ], missing=[READ])
    return find_request(actor=actor, number=number)


def require_filing(*, actor: Actor, site: Site | None) -> None:
    """Refuse unless the actor may file and comment here.

    Raises:
        ForbiddenError: requests:write is missing, the site may not be seen (any more), or a token
            of some sites files what is about none.
    """
    held = scopes_on(actor=actor, site=site) | actor.limit(actor.role_scopes)
    if FILE not in held:
        raise ForbiddenError.missing_scopes(required=[FILE], missing=[FILE])
    if site is None and actor.token_site_ids is not None:
        raise refused("This token is limited to sites, and this is about none.", [FILE])
    if site is not None and not access.sees(actor=actor, site_id=site.id):
        raise refused("You cannot see the site of this request any more.", [FILE])


def refused(
    detail: str, required: Collection[str], missing: Collection[str] = ()
) -> ForbiddenError:
    """Return the refusal of a person: with what the operation needs and what they lack of it."""
    members = {"required": sorted(required), "missing": sorted(missing)}
    return ForbiddenError(detail, members=members)


def out_of_reach(
    *, actor: Actor, kind: RequestType, environment: str | None, scope: str, gives: bool = True
) -> ForbiddenError | None:
    """Return the refusal of a token whose list of environments leaves out what this is about.

    Args:
        actor: any credential; most have no such list.
        kind: the type of the request.
        environment: what the request is about, if it names one.
        scope: what the operation needs.
        gives: whether this helps a request along. What gives access gives it in all
            environments, and a token of some of them helps with none of that.
    """
    limit = actor.token_environments
    if limit is None:
        return None
    if environment is not None and environment not in limit:
        return access.other_environment(environment=environment, scope=scope)
    if kind is RequestType.ACCESS and gives:
        return refused(
            "This token is limited to some environments, and access counts in all of them.",
            [scope],
            [scope],
        )
    return None


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


def _is_visible(actor: Actor) -> ColumnElement[bool]:
    mine = ChangeRequest.requester_id == actor.user_id
    ways: list[ColumnElement[bool]] = [mine] if actor.user_id is not None else []
    if READ in actor.limit(actor.role_scopes) and actor.sees_all_sites:
        ways.append(true() if actor.holds("admin") else ~_is_private())
    elif READ in actor.limit({READ}):
        ways.append(and_(ChangeRequest.site_id.in_(_readable_sites(actor)), ~_is_private()))
    seen = or_(false(), *ways)
    if actor.token_site_ids is not None:
        return and_(seen, ChangeRequest.site_id.in_(actor.token_site_ids))
    return seen


def _is_private() -> ColumnElement[bool]:
    """Return the condition that a draft was never submitted; only who files it sees it then."""
    is_draft = ChangeRequest.state == RequestState.DRAFT
    return and_(is_draft, ChangeRequest.submitted_at.is_(None))


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
