"""Tags: words that requests are sorted by."""

from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from models.engine import db
from models.tags import Tag, request_tags
from services import audit, request_access
from services.actors import Actor
from services.approvers import REVIEW
from services.paging import Page, PageRequest, matching, paginate
from services.transaction import changed_rows, repeatable, transaction
from services.whoami import scopes_anywhere

SORTABLE = {"name": Tag.name, "created_at": Tag.created_at, "updated_at": Tag.updated_at}


@dataclass(frozen=True, kw_only=True)
class TagChange:
    """The fields to change; None leaves one as it is."""

    name: str | None = None
    colour: str | None = None
    description: str | None = None


def list_tags(*, page: PageRequest) -> Page[Tag]:
    """Return tags; `q` looks into name and description."""
    query = select(Tag)
    words = matching(page.q, Tag.name, Tag.description)
    if words is not None:
        query = query.where(words)
    return paginate(query, page, sortable=SORTABLE, default="name", tiebreak=Tag.id)


def get_tag(*, name: str) -> Tag:
    """Return one tag.

    Raises:
        NotFoundError: there is none of this name.
    """
    tag = db.session.scalar(select(Tag).where(Tag.name == name))
    if tag is None:
        raise NotFoundError("There is no such tag.")
    return tag


def require_making(*, actor: Actor) -> None:
    """Refuse unless the actor reviews requests somewhere: a new tag is in nobody's way.

    Raises:
        ForbiddenError: requests:review is missing everywhere.
    """
    if REVIEW not in scopes_anywhere(actor=actor):
        raise ForbiddenError.missing_scopes(required=[REVIEW], missing=[REVIEW])


def require_changing(*, actor: Actor) -> None:
    """Refuse unless the actor reviews the requests of all sites: all of them share the tags.

    Raises:
        ForbiddenError: requests:review is held on single sites at most.
    """
    if REVIEW in request_access.scopes_on(actor=actor, site=None):
        return
    refusal = ForbiddenError.missing_scopes(required=[REVIEW], missing=[REVIEW])
    refusal.detail = (
        "All sites share the tags, so changing one takes requests:review on all of them, by a "
        "global role."
    )
    raise refusal


@repeatable()
def create_tag(*, actor: Actor, name: str, colour: str, description: str = "") -> Tag:
    """Make a tag.

    Raises:
        ForbiddenError: requests:review is missing everywhere.
        ConflictError: the name is taken.
    """
    require_making(actor=actor)
    now = utc_now()
    tag = Tag(name=name, colour=colour, description=description, created_at=now, updated_at=now)
    try:
        with transaction() as session:
            session.add(tag)
            session.flush()  # so that a taken name is found before the audit row is written
            audit.record(
                actor=actor, action="tag.created", target=_target(tag), after={"colour": colour}
            )
    except IntegrityError as error:
        raise ConflictError("There is a tag of this name already.") from error
    return tag


@repeatable()
def update_tag(
    *, actor: Actor, name: str, change: TagChange, expected_version: int | None = None
) -> Tag:
    """Change name, colour or description; requests that have the tag keep it.

    Raises:
        NotFoundError: there is none of this name.
        ForbiddenError: requests:review is held on single sites at most.
        ConflictError: the new name is taken.
        InvalidInputError: a request would have two tags of one scope.
        PreconditionError: `expected_version` is not the present one.
    """
    require_changing(actor=actor)
    try:
        return _update(actor, name, change, expected_version)
    except IntegrityError as error:
        raise ConflictError("There is a tag of this name already.") from error


def _update(actor: Actor, name: str, change: TagChange, expected_version: int | None) -> Tag:
    values = {key: value for key, value in vars(change).items() if value is not None}
    with transaction() as session:
        tag = get_tag(name=name)
        if change.name is not None:
            _require_exclusive(tag, change.name)
        before = {key: getattr(tag, key) for key in values}
        statement = update(Tag).where(Tag.id == tag.id)
        if expected_version is not None:
            statement = statement.where(Tag.version == expected_version)
        values |= {"version": Tag.version + 1, "updated_at": utc_now()}
        if changed_rows(statement.values(values)) == 0:
            raise PreconditionError("The tag was changed by somebody else.")
        session.refresh(tag)
        after = {key: getattr(tag, key) for key in before}
        audit.record(
            actor=actor, action="tag.updated", target=_target(tag), before=before, after=after
        )
    return tag


@repeatable()
def delete_tag(*, actor: Actor, name: str) -> None:
    """Remove a tag, from all requests too.

    Raises:
        NotFoundError: there is none of this name.
        ForbiddenError: requests:review is held on single sites at most.
    """
    require_changing(actor=actor)
    with transaction() as session:
        tag = get_tag(name=name)
        session.execute(delete(Tag).where(Tag.id == tag.id))
        audit.record(actor=actor, action="tag.deleted", target=_target(tag))


def _require_exclusive(tag: Tag, name: str) -> None:
    """Refuse a name in whose scope a request that has this tag has another one."""
    scope = Tag(name=name).scope
    if scope is None or scope == tag.scope:
        return
    mine = select(request_tags.c.request_id).where(request_tags.c.tag_id == tag.id)
    other = (
        select(Tag.id)
        .join(request_tags, request_tags.c.tag_id == Tag.id)
        .where(Tag.id != tag.id, Tag.name.startswith(f"{scope}/", autoescape=True))
        .where(request_tags.c.request_id.in_(mine))
    )
    if db.session.scalar(other.limit(1)) is not None:
        raise InvalidInputError.field(
            "/name", "A request has this tag and another one of that scope.", code="exclusive"
        )


def _target(tag: Tag) -> audit.Target:
    return audit.Target(type="tag", id=tag.name)
