"""What an actor is to a request: whose it is, who may judge it, who may carry it out."""

from dataclasses import dataclass

from sqlalchemy import or_, select

from models.access_grants import AccessGrant
from models.engine import db
from models.environments import Environment
from models.requests import ChangeRequest, RequestReview, RequestState, RequestType
from models.roles import Role
from models.sites import Membership
from models.users import User
from services import access, approval_rules, approvers, request_access, request_verdicts
from services.access import grant_counts
from services.actors import Actor, Via
from services.approval_rules import Rule
from services.request_moves import Party

FILE, RUN, OVERRIDE, ADMIN = (
    request_access.FILE,
    "requests:execute",
    "requests:override",
    "admin",
)
NEEDED: dict[Party, str] = {
    Party.AUTHOR: FILE,
    Party.REQUESTER: FILE,
    Party.REVIEWER: approvers.REVIEW,
    Party.REJECTER: approvers.REVIEW,
    Party.VOTER: approvers.REVIEW,
    Party.EXECUTOR: RUN,
    Party.OVERRIDER: OVERRIDE,
    Party.ASSIGNEE: FILE,
    Party.ADMIN: ADMIN,
}
"""The scope without which being something to a request is worth nothing."""
Place = tuple[RequestType, int | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One actor before one request.

    `people` says what the person is, whatever the credential; `parties` is the part of it for
    which the scopes are held, and nothing where a token does not reach. `held` are the scopes
    held on the site, or everywhere.
    """

    viewer: "Viewer"
    request: ChangeRequest
    held: frozenset[str]
    people: frozenset[Party]
    parties: frozenset[Party]
    review: RequestReview | None

    @property
    def actor(self) -> Actor:
        """Who it is about."""
        return self.viewer.actor

    @property
    def lasting(self) -> frozenset[str]:
        """What the actor holds on the site for good; what a grant lends is nobody's to give."""
        site = self.request.site
        return access.lasting_scopes(actor=self.actor, site=site) if site else self.held

    def lacks(self, *scopes: str) -> list[str]:
        """Return those of `scopes` that are not held here."""
        return [scope for scope in scopes if not _holds(self.actor, self.held, scope)]


class Viewer:
    """An actor, and what was read about it and about places while one answer is made."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self._roles: dict[int, dict[str, frozenset[str]]] = {}
        self._rules: dict[Place, Rule] = {}
        self._environments: dict[Place, Environment | None] = {}

    def standing(self, *, request: ChangeRequest) -> Standing:
        """Return what the actor is to a request now."""
        held, review = self.held_on(request=request), self._review_of(request)
        people = self._people(request, review)
        reaches = self.reaches(environment=request.environment)
        return Standing(
            viewer=self,
            request=request,
            held=held,
            people=people,
            parties=frozenset(
                party
                for party in people
                if reaches and (party not in NEEDED or self._may_be(party, held))
            ),
            review=review,
        )

    def reaches(self, *, environment: str | None) -> bool:
        """Tell whether a token's list of environments lets it change what is about this one."""
        limit = self.actor.token_environments
        return limit is None or environment is None or environment in limit

    def held_on(self, *, request: ChangeRequest) -> frozenset[str]:
        """Return the scopes held on the site of a request; without one those held everywhere."""
        actor = self.actor
        own = actor.role_scopes if actor.sees_all_sites else frozenset()
        if request.site_id is None:
            return actor.limit(own) if actor.token_site_ids is None else frozenset()
        return actor.limit(own.union(*self._roles_on(request.site_id).values()))

    def roles_for(self, *, request: ChangeRequest) -> frozenset[str]:
        """Return the names of the actor's roles, as far as they count for a request."""
        local = self._roles_on(request.site_id) if request.site_id is not None else {}
        return frozenset(local) | ({self.actor.role} if self.actor.role else set())

    def rule_of(self, *, request: ChangeRequest) -> Rule:
        """Return the approval policies that hold for a request, taken together."""
        place = _place(request)
        if place not in self._rules:
            self._rules[place] = approval_rules.rule_for(
                kind=request.type,
                site_id=request.site_id,
                environment=self.environment_of(request=request),
            )
        return self._rules[place]

    def environment_of(self, *, request: ChangeRequest) -> Environment | None:
        """Return the environment a request is about, None when it is gone."""
        place = _place(request)
        if place not in self._environments:
            key = request_access.environment_id_of(request=request)
            found = db.session.get(Environment, key) if key is not None else None
            self._environments[place] = found
        return self._environments[place]

    def _roles_on(self, site_id: int) -> dict[str, frozenset[str]]:
        if site_id not in self._roles:
            found = _roles_of(self.actor.user_id, site_id) if self.actor.user_id else {}
            self._roles[site_id] = found
        return self._roles[site_id]

    def _people(self, request: ChangeRequest, review: RequestReview | None) -> frozenset[Party]:
        actor = self.actor
        if actor.via is Via.SYSTEM:
            return frozenset({Party.SYSTEM})
        found = {Party.EXECUTOR, Party.ADMIN}
        if actor.user_id is None:
            return frozenset(found)
        if actor.user_id == request.requester_id:
            found.add(Party.AUTHOR)
            if self._belongs(request):
                found |= {Party.REQUESTER} | _assigned(actor, request)
            return frozenset(found)
        found.add(Party.REJECTER)
        if actor.user_id != request.beneficiary_id:
            found |= {Party.REVIEWER, Party.OVERRIDER}
        if review is not None:
            found.add(Party.VOTER)
        return frozenset(found | _assigned(actor, request))

    def _belongs(self, request: ChangeRequest) -> bool:
        if request.site_id is None:
            return request.site_slug is None
        return self.actor.sees_all_sites or bool(self._roles_on(request.site_id))

    def _may_be(self, party: Party, held: frozenset[str]) -> bool:
        if party is Party.VOTER:  # a vote is taken back also by who has lost the role since
            return bool(self.actor.limit({approvers.REVIEW}))
        return _holds(self.actor, held, NEEDED[party])

    def _review_of(self, request: ChangeRequest) -> RequestReview | None:
        """Return the actor's verdict on the present revision, unless it was withdrawn."""
        waits = request.state in (RequestState.PENDING, RequestState.APPROVED)
        if self.actor.user_id in (None, request.requester_id) or not waits:
            return None
        return request_verdicts.standing(actor=self.actor, request=request)


def _assigned(actor: Actor, request: ChangeRequest) -> set[Party]:
    is_assigned = any(user.id == actor.user_id for user in request.assignees)
    return {Party.ASSIGNEE} if is_assigned else set()


def requester_is_there(*, request: ChangeRequest) -> bool:
    """Tell whether whoever filed a request is active and can still see its site.

    What was filed at the command line has no requester, and whoever owns the host is always there.
    """
    requester = request.requester
    if requester is None:
        return request.via == Via.CLI.value
    if not requester.is_active:
        return False
    return request.site_id is None or requester.role.sees_all_sites or _has_role(requester, request)


def scopes_of_requester(*, request: ChangeRequest) -> frozenset[str]:
    """Return what whoever filed a request holds on its site now."""
    requester = request.requester
    if requester is None or not requester.is_active:
        return frozenset()
    role = requester.role
    if role.requires_totp and requester.totp_confirmed_at is None:
        return frozenset()
    held = set(role.effective) if role.sees_all_sites else set()
    if request.site_id is not None:
        held.update(*_roles_of(requester.id, request.site_id).values())
    return frozenset(held)


def _has_role(user: User, request: ChangeRequest) -> bool:
    return request.site_id is not None and bool(
        access.site_roles(user_id=user.id, site_id=request.site_id)
    )


def _holds(actor: Actor, held: frozenset[str], scope: str) -> bool:
    """Tell whether a scope is held here; filing, and being an admin, come with the role alone."""
    return scope in held or (scope in (FILE, ADMIN) and scope in actor.limit(actor.role_scopes))


def _roles_of(user_id: int, site_id: int) -> dict[str, frozenset[str]]:
    """Return the roles of a user on a site, by membership and by grants: name to permissions."""
    member = select(Membership.role_id).where(
        Membership.site_id == site_id, Membership.user_id == user_id
    )
    granted = select(AccessGrant.role_id).where(
        AccessGrant.site_id == site_id, AccessGrant.user_id == user_id, grant_counts()
    )
    query = select(Role.name, Role.effective).where(or_(Role.id.in_(member), Role.id.in_(granted)))
    return {name: frozenset(effective) for name, effective in db.session.execute(query)}


def _place(request: ChangeRequest) -> Place:
    return request.type, request.site_id, request.environment
