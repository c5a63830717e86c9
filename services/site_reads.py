"""Reading sites: the list and the single one that everybody asks for most.

One prepared statement of plain tables reads the site, who made it, and the caller's role on it;
through the ORM it took three, at three times the cost.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
)

from core.clock import utc_now
from core.errors import NotFoundError
from models.access_grants import AccessGrant
from models.engine import Base
from models.roles import Role
from models.sites import Membership, Site
from models.types import UtcDateTime
from models.users import User
from services import access
from services.actors import Actor
from services.paging import Page, PageRequest, matching, ordering
from services.site_views import SiteView, url_maker
from services.transaction import single_statements

AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name

_sites, _users, _members, _roles, _grants = (
    Base.metadata.tables[model.__tablename__]
    for model in (Site, User, Membership, Role, AccessGrant)
)
_SORTABLE = {name: _sites.c[name] for name in ("slug", "name", "created_at", "updated_at")}
_DEFAULT_ORDER = "-created_at"


def list_views(*, actor: Actor, page: PageRequest) -> Page[SiteView]:
    """Return the sites the actor may see; `q` looks into slug, name and description."""
    wanted = matching(page.q, _sites.c.slug, _sites.c.name, _sites.c.description)
    asked = {
        **_about(actor),
        "limit": page.per_page,
        "offset": (page.page - 1) * page.per_page,
    }
    statement, count = _listing(
        actor.sees_all_sites, actor.token_site_ids is not None, page.sort or _DEFAULT_ORDER
    )
    if wanted is not None:
        count = count.where(wanted)
        statement = statement.where(wanted).with_only_columns(*_COLUMNS, _as_column(count))
    with single_statements() as connection:
        rows = connection.execute(statement, asked).all()
        if rows:
            total = int(rows[0].total)
        else:  # nobody knows then how many there are before this page
            total = connection.execute(count, asked).scalar_one() if page.page > 1 else 0
    return Page(items=_views(rows), total=total, page=page.page, per_page=page.per_page)


def get_view(*, actor: Actor, slug: str) -> SiteView:
    """Return one site.

    Raises:
        NotFoundError: it does not exist or may not be seen.
        ForbiddenError: the actor sees it but lacks sites:read on it.
    """
    statement = _single(actor.sees_all_sites, actor.token_site_ids is not None)
    with single_statements() as connection:
        rows = connection.execute(statement, {**_about(actor), "slug": slug}).all()
    if not rows:
        raise NotFoundError("There is no such site, or you may not see it.")
    roles = [row.effective for row in rows]
    access.require_held(actor=actor, roles=roles, scopes=("sites:read",))
    return _views(rows[:1])[0]


def _about(actor: Actor) -> dict[str, object]:
    limits = actor.token_site_ids
    return {"user": actor.user_id, "now": utc_now()} | (
        {} if limits is None else {"sites": sorted(limits)}
    )


def _views(rows: Sequence[AnyRow]) -> list[SiteView]:
    url_of = url_maker()
    return [
        SiteView(
            slug=slug,
            name=name,
            description=description,
            url=url_of(slug),
            created_by=created_by,
            created_at=created_at,
            updated_at=updated_at,
            version=version,
        )
        for slug, name, description, created_at, updated_at, version, created_by, _ in rows
    ]


_GRANTED = and_(
    _grants.c.site_id == _sites.c.id,
    _grants.c.user_id == bindparam("user"),
    _grants.c.revoked_at.is_(None),
    _grants.c.expires_at > bindparam("now", type_=UtcDateTime()),
)
_MINE = and_(_members.c.site_id == _sites.c.id, _members.c.user_id == bindparam("user"))
_COLUMNS = (
    _sites.c.slug,
    _sites.c.name,
    _sites.c.description,
    _sites.c.created_at,
    _sites.c.updated_at,
    _sites.c.version,
    _users.c.username.label("created_by"),
)
_WITH_MAKER = _sites.outerjoin(_users, _users.c.id == _sites.c.created_by_id)


_KNOWN = or_(exists().where(_MINE), exists().where(_GRANTED))
_KNOWN_JOINED = or_(_members.c.user_id.is_not(None), _grants.c.user_id.is_not(None))


def _visible(
    sees_all: bool, is_limited: bool, known: ColumnElement[bool] = _KNOWN
) -> list[ColumnElement[bool]]:
    """Return what `access.visible_sites` asks for, with parameters."""
    conditions = [] if sees_all else [known]
    if is_limited:
        conditions.append(_sites.c.id.in_(bindparam("sites", expanding=True)))
    return conditions


@lru_cache(maxsize=128)
def _listing(sees_all: bool, is_limited: bool, sort: str) -> tuple[Select[Any], Select[int]]:
    """Return the statements for a page and for the total, built once for each order."""
    visible = _visible(sees_all, is_limited)
    order = ordering(sort, sortable=_SORTABLE, tiebreak=_sites.c.id)
    count = select(func.count()).select_from(_sites).where(*visible)
    return (
        select(*_COLUMNS, _as_column(count))
        .select_from(_WITH_MAKER)
        .where(*visible)
        .order_by(*order)
        .limit(bindparam("limit"))
        .offset(bindparam("offset")),
        count,
    )


def _as_column(count: Select[int]) -> ColumnElement[int]:
    """Read the total together with the page: at the same moment, in one go."""
    return count.correlate(None).scalar_subquery().label("total")


@lru_cache(maxsize=4)
def _single(sees_all: bool, is_limited: bool) -> Select[Any]:
    """Return the statement for one site: a row for each role of the caller on it, or one."""
    return (
        select(*_COLUMNS, _roles.c.effective)
        .select_from(_WITH_MAKER)
        .outerjoin(_members, _MINE)
        .outerjoin(_grants, _GRANTED)
        .outerjoin(_roles, or_(_roles.c.id == _members.c.role_id, _roles.c.id == _grants.c.role_id))
        .where(_sites.c.slug == bindparam("slug"), *_visible(sees_all, is_limited, _KNOWN_JOINED))
    )
