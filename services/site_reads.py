"""Reading sites: the list and the single one that everybody asks for most.

One prepared statement of plain tables reads the site, who made it, and the caller's role on it;
through the ORM it took three, at three times the cost.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, select

from core.errors import NotFoundError
from models.engine import Base
from models.users import User
from services import access
from services.actors import Actor
from services.paging import Page, PageRequest, matching, ordering
from services.site_views import SiteView, url_maker
from services.site_visibility import KNOWN_JOINED, about, limits, roles, sites, visible, with_roles
from services.transaction import single_statements

AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name

_users = Base.metadata.tables[User.__tablename__]
_SORTABLE = {name: sites.c[name] for name in ("slug", "name", "created_at", "updated_at")}
_DEFAULT_ORDER = "-created_at"


def list_views(*, actor: Actor, page: PageRequest) -> Page[SiteView]:
    """Return the sites the actor may see; `q` looks into slug, name and description."""
    wanted = matching(page.q, sites.c.slug, sites.c.name, sites.c.description)
    asked = {
        **about(actor=actor),
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
    scopes = ("sites:read",)
    is_held = access.holds_everywhere(actor=actor, scopes=scopes)
    statement = _single(is_held, actor.sees_all_sites, actor.token_site_ids is not None)
    about_actor = limits(actor=actor) if is_held else about(actor=actor)
    with single_statements() as connection:
        rows = connection.execute(statement, {**about_actor, "slug": slug}).all()
    if not rows:
        raise NotFoundError("There is no such site, or you may not see it.")
    if not is_held:
        held = [row.effective for row in rows]
        access.require_held(actor=actor, roles=held, scopes=scopes)
    return _views(rows[:1])[0]


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
        for slug, name, description, created_at, updated_at, version, created_by, *_ in rows
    ]


_COLUMNS = (
    sites.c.slug,
    sites.c.name,
    sites.c.description,
    sites.c.created_at,
    sites.c.updated_at,
    sites.c.version,
    _users.c.username.label("created_by"),
)
_WITH_MAKER = sites.outerjoin(_users, _users.c.id == sites.c.created_by_id)


@lru_cache(maxsize=128)
def _listing(sees_all: bool, is_limited: bool, sort: str) -> tuple[Select[Any], Select[int]]:
    """Return the statements for a page and for the total, built once for each order."""
    conditions = visible(sees_all, is_limited)
    order = ordering(sort, sortable=_SORTABLE, tiebreak=sites.c.id)
    count = select(func.count()).select_from(sites).where(*conditions)
    return (
        select(*_COLUMNS, _as_column(count))
        .select_from(_WITH_MAKER)
        .where(*conditions)
        .order_by(*order)
        .limit(bindparam("limit"))
        .offset(bindparam("offset")),
        count,
    )


def _as_column(count: Select[int]) -> ColumnElement[int]:
    """Read the total together with the page: at the same moment, in one go."""
    return count.correlate(None).scalar_subquery().label("total")


@lru_cache(maxsize=8)
def _single(is_held: bool, sees_all: bool, is_limited: bool) -> Select[Any]:
    """Return the statement for one site: a row for each role of the caller on it, or one.

    Roles on the site add nothing for a caller who may read every site (`is_held`).
    """
    if is_held:
        return (
            select(*_COLUMNS)
            .select_from(_WITH_MAKER)
            .where(sites.c.slug == bindparam("slug"), *visible(sees_all, is_limited))
        )
    return (
        select(*_COLUMNS, roles.c.effective)
        .select_from(with_roles(_WITH_MAKER))
        .where(sites.c.slug == bindparam("slug"), *visible(sees_all, is_limited, KNOWN_JOINED))
    )
