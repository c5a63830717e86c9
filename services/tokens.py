"""API tokens for CI and scripts: a part of their owner's rights, shown once, always expiring."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import Select, and_, select

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from core.ids import API_TOKEN_PREFIX, hash_secret, new_api_token, new_public_id
from core.settings import current_settings
from models.engine import db
from models.sites import Site
from models.tokens import ApiToken
from services.access import visible_sites
from services.actors import Actor, Via
from services.audit import Target, record
from services.credentials import actor_for_token as actor_for_token
from services.names import ENVIRONMENT_RULE, is_environment
from services.paging import Page, PageRequest, matching, paginate
from services.permissions import GLOBAL_SCOPES, PERMISSIONS, PRESETS, TokenPreset
from services.transaction import transaction
from services.whoami import scopes_anywhere

DEFAULT_DAYS = 90
DEFAULT_OVERLAP_MINUTES = 10
_SHOWN_CHARACTERS = len(API_TOKEN_PREFIX) + 4
SORTABLE = {
    "name": ApiToken.name,
    "created_at": ApiToken.created_at,
    "expires_at": ApiToken.expires_at,
    "last_used_at": ApiToken.last_used_at,
}


class TokenState(StrEnum):
    """Whether a token works."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class TokenOrder:
    """What a new token shall be able to do; None means no limit of that kind."""

    name: str
    scopes: Sequence[str] | None = None
    preset: TokenPreset | None = None
    sites: Sequence[str] | None = None
    environments: Sequence[str] | None = None
    cidrs: Sequence[str] | None = None
    expires_in_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """A token as its owner sees it; `token` only right after it was made."""

    row: ApiToken
    state: TokenState
    token: str | None = None


def list_own(
    *, actor: Actor, page: PageRequest, state: TokenState | None = None
) -> Page[TokenView]:
    """Return the actor's tokens, revoked and expired ones too.

    Raises:
        ForbiddenError: by token.
    """
    _require_person(actor)
    query = select(ApiToken).where(ApiToken.user_id == actor.user_id)
    wanted = matching(page.q, ApiToken.name, ApiToken.prefix)
    if wanted is not None:
        query = query.where(wanted)
    if state is not None:
        query = _in_state(query, state)
    found = paginate(query, page, sortable=SORTABLE, tiebreak=ApiToken.id)
    return found.with_items([_view(row) for row in found.items])


def get_own(*, actor: Actor, public_id: str) -> TokenView:
    """Return one of the actor's tokens.

    Raises:
        ForbiddenError: by token.
        NotFoundError: the actor has no such token.
    """
    _require_person(actor)
    return _view(_find_own(actor, public_id))


def get_self(*, actor: Actor) -> TokenView:
    """Return the token that is asking.

    Raises:
        NotFoundError: a session is asking.
    """
    return _view(_find_self(actor))


def create(*, actor: Actor, order: TokenOrder) -> TokenView:
    """Make a token for the actor.

    Raises:
        ForbiddenError: by token (`session_required`), or it would carry scopes that the actor
            does not hold (`scope_not_held`).
        InvalidInputError: unknown scope, site or address range, no name of an environment, or too
            long a life.
    """
    _require_person(actor)
    sites = _named_sites(actor, order.sites)
    scopes = _granted_scopes(actor, order, sites)
    lifetime = timedelta(days=_days(order.expires_in_days))
    template = ApiToken(
        user_id=actor.user_id,
        name=order.name,
        scopes=sorted(scopes),
        preset=order.preset.value if order.preset else None,
        site_limited=order.sites is not None,
        environments=_environments(order.environments),
        cidrs=_networks(order.cidrs),
        sites=sites,
    )
    with transaction():
        return _insert(actor, template, lifetime, "token.created")


def revoke(*, actor: Actor, public_id: str) -> None:
    """End a token; it stays listed. Ending it twice is no error.

    Raises:
        ForbiddenError: by token.
        NotFoundError: the actor has no such token.
    """
    _require_person(actor)
    with transaction():
        row = _find_own(actor, public_id)
        if row.revoked_at is None:
            row.revoked_at = utc_now()
            record(actor=actor, action="token.revoked", target=_target(row))


def rotate(*, actor: Actor, public_id: str, overlap_minutes: int) -> TokenView:
    """Replace one of the actor's tokens by a new one with the same limits and lifetime.

    The old one keeps working for the overlap, so that a pipeline can be changed in between.

    Raises:
        ForbiddenError: by token.
        NotFoundError: the actor has no such token.
        ConflictError: the token was revoked, or has a successor already.
    """
    _require_person(actor)
    with transaction():
        return _rotate(actor, _find_own(actor, public_id), overlap_minutes)


def rotate_self(*, actor: Actor, overlap_minutes: int) -> TokenView:
    """Replace the token that is asking; like `rotate`.

    Raises:
        NotFoundError: a session is asking.
        ConflictError: the token has a successor already.
    """
    with transaction():
        return _rotate(actor, _find_self(actor), overlap_minutes)


def state_of(row: ApiToken) -> TokenState:
    """Return whether the token works."""
    if row.revoked_at is not None:
        return TokenState.REVOKED
    return TokenState.EXPIRED if row.expires_at <= utc_now() else TokenState.ACTIVE


def _rotate(actor: Actor, found: ApiToken, overlap_minutes: int) -> TokenView:
    """Make the successor of a token; the lock makes parallel calls take turns."""
    old = db.session.scalars(
        select(ApiToken)
        .where(ApiToken.id == found.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    _require_rotatable(old)
    lifetime = old.expires_at - old.created_at
    old.expires_at = min(old.expires_at, utc_now() + timedelta(minutes=overlap_minutes))
    new = ApiToken(
        user_id=old.user_id,
        name=old.name,
        scopes=list(old.scopes),
        preset=old.preset,
        site_limited=old.site_limited,
        environments=old.environments,
        cidrs=old.cidrs,
        sites=list(old.sites),
        rotated_from_id=old.id,
    )
    return _insert(actor, new, lifetime, "token.rotated")


def _require_rotatable(row: ApiToken) -> None:
    """Refuse a token that was revoked, and one that has a successor: a leaked one would breed."""
    if row.revoked_at is not None:
        raise ConflictError(
            "A revoked token cannot be rotated; make a new one.",
            code=ErrorCode.INVALID_TRANSITION,
            members={"allowed_actions": []},
        )
    successor = select(ApiToken.id).where(ApiToken.rotated_from_id == row.id).limit(1)
    if db.session.scalar(successor) is not None:
        raise ConflictError(
            "This token was rotated already; use or rotate its successor.",
            code=ErrorCode.INVALID_TRANSITION,
            members={"allowed_actions": ["revoke"]},
        )


def _insert(actor: Actor, row: ApiToken, lifetime: timedelta, action: str) -> TokenView:
    token, now = new_api_token(), utc_now()
    row.public_id = new_public_id()
    row.prefix = token[:_SHOWN_CHARACTERS]
    row.token_hash = hash_secret(token)
    row.created_at = now
    row.expires_at = now + min(lifetime, timedelta(days=current_settings().token_max_days))
    db.session.add(row)
    after = {
        "scopes": row.scopes,
        "sites": [site.slug for site in row.sites] if row.site_limited else None,
        "environments": row.environments,
        "cidrs": row.cidrs,
    }
    record(actor=actor, action=action, target=_target(row), after=after)
    return TokenView(row=row, state=TokenState.ACTIVE, token=token)


def _granted_scopes(actor: Actor, order: TokenOrder, sites: list[Site]) -> frozenset[str]:
    limit = None if order.sites is None else frozenset(site.id for site in sites)
    held = scopes_anywhere(actor=actor, site_ids=limit)
    if order.preset is TokenPreset.READ:
        return PRESETS[TokenPreset.READ] & held - (GLOBAL_SCOPES if order.sites else frozenset())
    wanted = PRESETS[order.preset] if order.preset else frozenset(order.scopes or ())
    _refuse_scopes(order.scopes or (), on_sites=order.sites is not None)
    missing = wanted - held
    if missing:
        raise ForbiddenError(
            "A token cannot carry more than its owner holds.",
            code=ErrorCode.SCOPE_NOT_HELD,
            members={"required": sorted(wanted), "missing": sorted(missing)},
        )
    return wanted


def _refuse_scopes(scopes: Sequence[str], *, on_sites: bool) -> None:
    """Refuse scopes that do not exist, or mean nothing in a token that is limited to sites."""
    errors = [
        FieldError(f"/scopes/{index}", "unknown", "There is no such scope.")
        for index, scope in enumerate(scopes)
        if scope not in PERMISSIONS
    ] + [
        FieldError(f"/scopes/{index}", "global", "Not in a token that is limited to sites.")
        for index, scope in enumerate(scopes)
        if on_sites and scope in GLOBAL_SCOPES
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)


def _named_sites(actor: Actor, slugs: Sequence[str] | None) -> list[Site]:
    if slugs is None:
        return []
    found = db.session.scalars(visible_sites(actor=actor).where(Site.slug.in_(slugs))).all()
    known = {site.slug: site for site in found}
    errors = [
        FieldError(f"/sites/{index}", "unknown", "There is no such site, or you may not see it.")
        for index, slug in enumerate(slugs)
        if slug not in known
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)
    return list(known.values())


def _networks(cidrs: Sequence[str] | None) -> list[str] | None:
    if cidrs is None:
        return None
    networks = []
    for index, cidr in enumerate(cidrs):
        try:
            networks.append(str(ipaddress.ip_network(cidr)))
        except ValueError as error:
            message = "must be an address range such as 192.0.2.0/24"
            raise InvalidInputError.field(f"/cidrs/{index}", message) from error
    return sorted(set(networks))


def _days(wanted: int | None) -> int:
    longest = current_settings().token_max_days
    if wanted is None:
        return min(DEFAULT_DAYS, longest)
    if not 1 <= wanted <= longest:
        message = f"must be between 1 and {longest} (TOKEN_MAX_DAYS)"
        raise InvalidInputError.field("/expires_in_days", message, code="out_of_range")
    return wanted


def _environments(names: Sequence[str] | None) -> list[str] | None:
    """Return the names in order; they need not exist yet, on any site."""
    if names is None:
        return None
    for place, name in enumerate(names):
        if not is_environment(name):
            raise InvalidInputError.field(f"/environments/{place}", ENVIRONMENT_RULE)
    return sorted(set(names))


def _in_state(query: Select[ApiToken], state: TokenState) -> Select[ApiToken]:
    now = utc_now()
    if state is TokenState.REVOKED:
        return query.where(ApiToken.revoked_at.is_not(None))
    lives = ApiToken.expires_at > now if state is TokenState.ACTIVE else ApiToken.expires_at <= now
    return query.where(and_(ApiToken.revoked_at.is_(None), lives))


def _find_own(actor: Actor, public_id: str) -> ApiToken:
    row = db.session.scalar(
        select(ApiToken).where(ApiToken.public_id == public_id, ApiToken.user_id == actor.user_id)
    )
    if row is None:
        raise NotFoundError("You have no such token.")
    return row


def _find_self(actor: Actor) -> ApiToken:
    row = db.session.get(ApiToken, actor.token_id) if actor.token_id else None
    if row is None:
        raise NotFoundError("This is not a token.")
    return row


def _require_person(actor: Actor) -> None:
    """Refuse tokens: one that leaked must not be able to make others."""
    if actor.via is Via.TOKEN:
        raise ForbiddenError(
            "Tokens are made and changed by a person who logged in.",
            code=ErrorCode.SESSION_REQUIRED,
        )


def _view(row: ApiToken) -> TokenView:
    return TokenView(row=row, state=state_of(row))


def _target(row: ApiToken) -> Target:
    return Target(type="token", id=row.public_id)
