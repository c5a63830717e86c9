"""Users: who may sign in, and with which global role."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from core.ids import new_secret
from models.engine import db
from models.roles import Role
from models.users import Contact, User
from services.actors import Actor, Via, system_actor
from services.admins import require_an_admin
from services.audit import Target, record
from services.grants import require_held
from services.invitations import LinkKind, make_link
from services.names import USERNAME
from services.paging import Page, PageRequest, matching, paginate
from services.passwords import check_strength, hash_password, is_short
from services.permissions import ADMIN_ROLE, DEFAULT_ROLE, RoleKind
from services.sessions import EndReason, end_sessions
from services.transaction import changed_rows, transaction

MAX_EMAIL = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")
SORTABLE = {
    "username": User.username,
    "email": User.email,
    "created_at": User.created_at,
    "updated_at": User.updated_at,
    "last_login_at": User.last_login_at,
}


@dataclass(frozen=True, kw_only=True)
class UserFilter:
    """Which users are wanted; None does not filter."""

    role: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True, kw_only=True)
class UserChange:
    """The fields to change; None leaves one as it is."""

    email: str | None = None
    role: str | None = None
    is_active: bool | None = None
    password: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """A user just made, with the invitation when no password was given."""

    user: User
    invitation_url: str | None = None


def list_users(*, actor: Actor, page: PageRequest, wanted: UserFilter | None = None) -> Page[User]:
    """Return all users that were not erased; `q` looks into user name, e-mail and full name.

    Raises:
        ForbiddenError: users:read is not held everywhere.
    """
    actor.require("users:read")
    wanted = wanted or UserFilter()
    query = select(User).where(User.erased_at.is_(None))
    if wanted.role is not None:
        query = query.where(User.role.has(Role.name == wanted.role))
    if wanted.is_active is not None:
        query = query.where(User.is_active.is_(wanted.is_active))
    words = _search(page.q)
    if words is not None:
        query = query.where(words)
    return paginate(query, page, sortable=SORTABLE, tiebreak=User.id)


def get_user(*, actor: Actor, username: str) -> User:
    """Return oneself, or anybody with users:read.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
    """
    user = find_by_name(username)
    if user is None or (user.id != actor.user_id and not actor.holds("users:read")):
        raise NotFoundError("There is no such user, or you may not see them.")
    return user


def create_user(
    *,
    actor: Actor,
    username: str,
    email: str | None,
    password: str | None = None,
    role: str | None = None,
    is_active: bool = True,
    invite: bool = True,
) -> NewUser:
    """Make a user; without a password an invitation is made as well, unless told otherwise.

    Raises:
        ForbiddenError: users:write is missing, or the role grants more than the actor holds.
        ConflictError: user name or e-mail address are taken.
        InvalidInputError: unknown role, or too weak a password.
    """
    actor.require("users:write")
    check_names(username=username, email=email)
    if password is not None:
        check_strength(password, pointer="/password", names=(username, email))
    password_hash = hash_password(password) if password is not None else None
    now = utc_now()
    try:
        with transaction() as session:
            granted = global_role(role or DEFAULT_ROLE)
            require_held(actor=actor, scopes=granted.effective)
            user = User(
                username=username,
                email=email.lower() if email else None,
                password_hash=password_hash,
                role=granted,
                is_active=is_active,
                contact=None,
                created_at=now,
                updated_at=now,
            )
            session.add(user)
            session.flush()  # the audit event needs the user's id
            after = {"role": granted.name, "is_active": is_active}
            record(actor=actor, action="user.created", target=user_target(user), after=after)
            link = None
            if password is None and invite:
                link = make_link(actor=actor, user=user, kind=LinkKind.INVITATION)
    except IntegrityError as error:
        raise _taken() from error
    return NewUser(user=user, invitation_url=link.url if link else None)


def update_user(
    *, actor: Actor, username: str, change: UserChange, expected_version: int | None = None
) -> User:
    """Change e-mail address, role, state or password of a user.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: users:write is missing, or the user or the new role holds more rights
            than the actor; a password is changed by token (`session_required`).
        ConflictError: the address is taken, or the last administrator would be gone.
        PreconditionError: `expected_version` is not the present one.
    """
    user = find_for_change(actor=actor, username=username)
    password_hash = _checked_hash(actor, user, change.password)
    try:
        with transaction():
            user = find_for_change(actor=actor, username=username)
            bump(user, expected_version)
            before, after = _apply(actor, user, change)
            if password_hash is not None:
                _set_password(user, password_hash, short=is_short(change.password or ""))
                after["password"] = "changed"
            record(
                actor=actor,
                action="user.updated",
                target=user_target(user),
                before=before,
                after=after,
            )
            if not after.keys().isdisjoint({"role", "is_active"}):
                require_an_admin()
    except IntegrityError as error:
        raise _taken() from error
    return user


def require_changeable(*, actor: Actor, username: str) -> None:
    """Refuse early what changing, deactivating and erasing would refuse.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: users:write is missing, or the user holds more rights than the actor.
    """
    find_for_change(actor=actor, username=username)


def deactivate(*, actor: Actor, username: str) -> None:
    """Lock a user out at once; nothing is deleted.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: users:write is missing, or the user holds more rights than the actor.
        ConflictError: it is the last administrator.
    """
    with transaction():
        user = find_for_change(actor=actor, username=username)
        if not user.is_active:
            return
        bump(user, None)
        lock_out(user)
        record(actor=actor, action="user.deactivated", target=user_target(user))
        require_an_admin()


def create_first_admin(
    *, username: str, email: str | None, password: str | None
) -> tuple[User, str | None]:
    """Make the first administrator, unless there are users already.

    Returns:
        The user, and the password when it was made up here and must be told to the operator.

    Raises:
        ConflictError: there are users already.
        InvalidInputError: the password is too weak.
    """
    if db.session.scalar(select(User.id).limit(1)) is not None:
        raise ConflictError("There are users already.")
    generated = None if password else new_secret()
    new = create_user(
        actor=system_actor(),
        username=username,
        email=email,
        password=password or generated,
        role=ADMIN_ROLE,
    )
    return new.user, generated


def check_names(*, username: str | None = None, email: str | None = None) -> None:
    """Refuse a user name or an e-mail address that is not one.

    Raises:
        InvalidInputError: with a pointer to the field.
    """
    if username is not None and re.fullmatch(USERNAME, username) is None:
        message = "must be 1 to 40 lower-case letters, digits, dots, hyphens or underscores"
        raise InvalidInputError.field("/username", message)
    if email is not None and (len(email) > MAX_EMAIL or _EMAIL.fullmatch(email) is None):
        raise InvalidInputError.field("/email", "must be an e-mail address")


def find_by_name(username: str) -> User | None:
    """Return the user of this name, erased ones included, or None."""
    return db.session.scalar(select(User).where(User.username == username))


def _search(q: str | None) -> ColumnElement[bool] | None:
    direct = matching(q, User.username, User.email)
    named = matching(q, Contact.full_name)
    return None if direct is None or named is None else direct | User.contact.has(named)


def find_for_change(*, actor: Actor, username: str) -> User:
    """Return a user whom the actor may change.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: users:write is missing, or the user holds more rights than the actor.
    """
    user = get_user(actor=actor, username=username)
    actor.require("users:write")
    if user.erased_at is not None:
        raise NotFoundError("There is no such user, or you may not see them.")
    if user.id != actor.user_id:
        require_held(actor=actor, scopes=user.role.effective)
    return user


def global_role(name: str) -> Role:
    """Return a global role.

    Raises:
        InvalidInputError: there is none of this name.
    """
    role = db.session.scalar(
        select(Role).where(Role.name == name, Role.kind == RoleKind.GLOBAL.value)
    )
    if role is None:
        raise InvalidInputError.field("/role", "There is no such global role.", code="unknown")
    return role


def _checked_hash(actor: Actor, user: User, password: str | None) -> str | None:
    if password is None:
        return None
    if actor.via is Via.TOKEN:
        raise ForbiddenError(
            "Passwords are changed by a person who logged in.", code=ErrorCode.SESSION_REQUIRED
        )
    if user.id == actor.user_id:
        message = "change your own password with PUT /auth/password"
        raise InvalidInputError.field("/password", message)
    names = (user.username, user.email)
    check_strength(password, pointer="/password", names=names, has_totp=user.totp_enabled)
    return hash_password(password)


def _apply(
    actor: Actor, user: User, change: UserChange
) -> tuple[dict[str, object], dict[str, object]]:
    """Change what differs and return the changed fields before and after, without the address."""
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    if change.email is not None and change.email.lower() != user.email:
        user.email = change.email.lower()
        after["email"] = "changed"
    if change.role is not None and change.role != user.role.name:
        role = global_role(change.role)
        require_held(actor=actor, scopes=role.effective)
        before["role"], after["role"] = user.role.name, role.name
        user.role = role
    if change.is_active is not None and change.is_active != user.is_active:
        before["is_active"], after["is_active"] = user.is_active, change.is_active
        if not change.is_active:
            lock_out(user)
        user.is_active = change.is_active
    return before, after


def _set_password(user: User, password_hash: str, *, short: bool) -> None:
    user.password_hash = password_hash
    user.password_is_short = short
    user.token_version += 1
    end_sessions(user_id=user.id, reason=EndReason.PASSWORD)


def lock_out(user: User) -> None:
    """Deactivate a user and end whatever they are signed in to."""
    user.is_active = False
    user.token_version += 1
    end_sessions(user_id=user.id, reason=EndReason.DEACTIVATED)


def bump(user: User, expected_version: int | None) -> None:
    """Move on to the next version of a user.

    Raises:
        PreconditionError: `expected_version` is not the present one.
    """
    statement = update(User).where(User.id == user.id)
    if expected_version is not None:
        statement = statement.where(User.version == expected_version)
    values: dict[str, Any] = {"version": User.version + 1, "updated_at": utc_now()}
    if changed_rows(statement.values(values)) == 0:
        raise PreconditionError("The user was changed by somebody else.")
    db.session.refresh(user)


def _taken() -> ConflictError:
    return ConflictError("A user with this name or e-mail address exists already.")


def user_target(user: User) -> Target:
    """Return what audit events about a user point to: the id, which outlives the name."""
    return Target(type="user", id=str(user.id))
