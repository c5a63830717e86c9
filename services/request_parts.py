"""Parts of requests: comments, tags, assignees and the timeline."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import (
    FieldError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from core.ids import new_public_id
from models.engine import db
from models.request_events import CommentWording, RequestComment, RequestEvent
from models.requests import ChangeRequest
from models.tags import Tag
from models.users import User
from services import access, approvers, request_access, request_log
from services.actors import Actor
from services.paging import CursorPage, CursorRequest, Page, PageRequest, paginate
from services.request_moves import Party
from services.request_standing import Viewer
from services.transaction import changed_rows, repeatable, transaction

COMMENTS_SORTABLE = {"created_at": RequestComment.created_at}


def list_comments(*, actor: Actor, number: int, page: PageRequest) -> Page[RequestComment]:
    """Return the comments on a request, newest first.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
    """
    request = request_access.find_readable(actor=actor, number=number)
    query = select(RequestComment).where(RequestComment.request_id == request.id)
    return paginate(query, page, sortable=COMMENTS_SORTABLE, tiebreak=RequestComment.id)


def get_comment(*, actor: Actor, number: int, comment_id: str) -> RequestComment:
    """Return one comment.

    Raises:
        NotFoundError: there is none, or its request may not be seen.
    """
    request = request_access.find_readable(actor=actor, number=number)
    comment = db.session.scalar(
        select(RequestComment).where(
            RequestComment.request_id == request.id, RequestComment.public_id == comment_id
        )
    )
    if comment is None:
        raise NotFoundError("There is no such comment.")
    return comment


@repeatable()
def comment(*, actor: Actor, number: int, body: str) -> RequestComment:
    """Say something about a request.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
        ForbiddenError: requests:write is missing.
    """
    with transaction():
        request = require_writable(actor=actor, number=number)
        return add_comment(actor=actor, request=request, body=body)


def add_comment(*, actor: Actor, request: ChangeRequest, body: str) -> RequestComment:
    """Write a comment and its entry in the timeline; call inside a transaction."""
    now = utc_now()
    row = RequestComment(
        public_id=new_public_id(),
        request_id=request.id,
        user_id=actor.user_id,
        body=body,
        wordings=[],
        created_at=now,
        updated_at=now,
    )
    db.session.add(row)
    db.session.flush()  # the timeline needs the id
    request_log.note(
        actor=actor,
        request=request,
        kind="commented",
        detail={"comment": row.public_id},
        comment_id=row.id,
    )
    return row


@repeatable()
def edit_comment(
    *,
    actor: Actor,
    number: int,
    comment_id: str,
    body: str,
    expected_version: int | None = None,
) -> RequestComment:
    """Change the words of one's own comment; an earlier wording that was another one is kept.

    Raises:
        ForbiddenError: somebody else wrote it.
        PreconditionError: `expected_version` is not the present one.
    """
    with transaction() as session:
        row = require_own_comment(actor=actor, number=number, comment_id=comment_id)
        if expected_version in (None, row.version) and row.body == body:
            return row
        statement = update(RequestComment).where(RequestComment.id == row.id)
        if expected_version is not None:
            statement = statement.where(RequestComment.version == expected_version)
        earlier, now = row.body, utc_now()
        values = {"body": body, "version": RequestComment.version + 1, "updated_at": now}
        if changed_rows(statement.values(values)) == 0:
            raise PreconditionError("The comment was changed by somebody else.")
        session.add(CommentWording(comment_id=row.id, body=earlier, until=now))
        session.flush()  # so that the comment is read again with it
        session.refresh(row)
        request_log.note(
            actor=actor,
            request=request_access.find_request(actor=actor, number=number),
            kind="comment_edited",
            detail={"comment": row.public_id},
        )
    return row


def require_own_comment(*, actor: Actor, number: int, comment_id: str) -> RequestComment:
    """Return a comment that the actor may change.

    Raises:
        NotFoundError: there is none, or its request may not be seen.
        ForbiddenError: somebody else wrote it, or requests:write is missing.
    """
    require_writable(actor=actor, number=number)
    row = get_comment(actor=actor, number=number, comment_id=comment_id)
    if actor.user_id is None or row.user_id != actor.user_id:
        raise request_access.refused(
            "Comments are changed by those who wrote them.", [request_access.FILE]
        )
    return row


def require_writable(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request that the actor may comment and tag.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: requests:write is missing, or a token does not reach it.
    """
    request = request_access.find_request(actor=actor, number=number)
    request_access.require_filing(actor=actor, site=request.site)
    _require_reach(actor, request)
    return request


def require_assigning(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request of which the actor may say who takes care: its requester, or a reviewer.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: neither, or a token does not reach it.
    """
    request = request_access.find_request(actor=actor, number=number)
    _require_reach(actor, request)
    standing = Viewer(actor).standing(request=request)
    if not standing.parties & {Party.REQUESTER, Party.REJECTER}:
        mine = Party.REQUESTER in standing.people
        required = [request_access.FILE if mine else approvers.REVIEW]
        raise request_access.refused(
            "Who takes care of a request is said by who filed it, or with requests:review.",
            required,
            standing.lacks(*required),
        )
    return request


def _require_reach(actor: Actor, request: ChangeRequest) -> None:
    refusal = request_access.out_of_reach(
        actor=actor,
        kind=request.type,
        environment=request.environment,
        scope=request_access.FILE,
        gives=False,
    )
    if refusal is not None:
        raise refusal


@repeatable()
def put_tags(*, actor: Actor, number: int, names: Sequence[str]) -> ChangeRequest:
    """Replace the tags of a request.

    Raises:
        InvalidInputError: a tag does not exist, or two are of one scope.
        ForbiddenError: requests:write is missing.
    """
    with transaction():
        request = request_log.locked(number=require_writable(actor=actor, number=number).number)
        before = [tag.name for tag in request.tags]
        request.tags = tags_named(names=names)
        after = [tag.name for tag in request.tags]
        _touch(actor, request, "tagged", {"before": before, "after": after})
    return request


@repeatable()
def put_assignees(*, actor: Actor, number: int, usernames: Sequence[str]) -> ChangeRequest:
    """Replace who takes care of a request.

    Raises:
        InvalidInputError: somebody does not exist or could not see the request.
        ForbiddenError: neither the requester nor requests:review.
    """
    with transaction():
        request = request_log.locked(number=require_assigning(actor=actor, number=number).number)
        before = [user.id for user in request.assignees]
        request.assignees = assignees_named(request=request, usernames=usernames)
        after = [user.id for user in request.assignees]
        _touch(actor, request, "assigned", {"before": before, "after": after})
    return request


def _touch(actor: Actor, request: ChangeRequest, kind: str, detail: Mapping[str, object]) -> None:
    db.session.flush()  # the lists first: moving reads the row again
    if detail["before"] != detail["after"]:
        request_log.move(actor=actor, request=request, to=request.state, kind=kind, detail=detail)


def tags_named(*, names: Sequence[str]) -> list[Tag]:
    """Return tags by their names.

    Raises:
        InvalidInputError: one does not exist, or two are of one scope.
    """
    found = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(names)))}
    errors, scopes = [], set()
    for index, name in enumerate(dict.fromkeys(names)):
        tag = found.get(name)
        if tag is None:
            errors.append(FieldError(f"/tags/{index}", "unknown", "There is no such tag."))
        elif tag.scope in scopes:
            errors.append(
                FieldError(f"/tags/{index}", "exclusive", "Another tag has the same scope.")
            )
        elif tag.scope is not None:
            scopes.add(tag.scope)
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)
    return sorted(found.values(), key=lambda tag: tag.name)


def assignees_named(*, request: ChangeRequest, usernames: Sequence[str]) -> list[User]:
    """Return the people to assign: active, and able to see the request by their roles.

    Raises:
        InvalidInputError: somebody is not.
    """
    found = {
        user.username: user
        for user in db.session.scalars(
            select(User).where(User.username.in_(usernames), User.is_active.is_(True))
        )
    }
    errors = [
        FieldError(f"/assignees/{index}", "unknown", "Nobody of this name could see the request.")
        for index, name in enumerate(dict.fromkeys(usernames))
        if name not in found or not _could_see(found[name], request)
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)
    return sorted(found.values(), key=lambda user: user.username)


def _could_see(user: User, request: ChangeRequest) -> bool:
    if user.id == request.requester_id:
        return True
    held = set(user.role.effective) if user.role.sees_all_sites else set()
    if request.site_id is not None:
        held.update(*access.site_roles(user_id=user.id, site_id=request.site_id))
    return request_access.READ in held


def timeline(*, actor: Actor, number: int, page: CursorRequest) -> CursorPage[RequestEvent]:
    """Return everything that happened to a request, comments among it, newest first.

    Raises:
        NotFoundError: there is no such request, or it may not be seen.
    """
    request = request_access.find_readable(actor=actor, number=number)
    return request_log.timeline(request=request, page=page)
