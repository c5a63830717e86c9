"""Roles: named sets of permissions that inherit from each other; edits count at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    FieldError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from models.access_grants import AccessGrant
from models.approval_policies import ApprovalPolicy
from models.engine import db
from models.roles import Role, role_inherits
from models.sites import Membership
from models.users import User
from services.access import grant_counts
from services.actors import Actor
from services.admins import ADMIN_SCOPE, require_an_admin
from services.audit import Target, record
from services.grants import require_held
from services.paging import Page, PageRequest, matching, paginate
from services.permissions import PERMISSIONS, SITE_SCOPES, RoleKind
from services.transaction import changed_rows, transaction

SORTABLE = {"name": Role.name, "created_at": Role.created_at, "updated_at": Role.updated_at}


@dataclass(frozen=True, kw_only=True)
class RoleChange:
    """The fields to change; None leaves one as it is."""

    description: str | None = None
    permissions: Sequence[str] | None = None
    inherits: Sequence[str] | None = None
    requires_totp: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One permission, and the kinds of roles that can carry it."""

    name: str
    description: str
    kinds: list[RoleKind]


def list_roles(*, page: PageRequest, kind: RoleKind | None = None) -> Page[Role]:
    """Return all roles; `q` looks into name and description."""
    query = select(Role)
    if kind is not None:
        query = query.where(Role.kind == kind.value)
    words = matching(page.q, Role.name, Role.description)
    if words is not None:
        query = query.where(words)
    return paginate(query, page, sortable=SORTABLE, tiebreak=Role.id)


def list_permissions(*, page: PageRequest) -> Page[Permission]:
    """Return the permissions there are, by name."""
    items = [
        Permission(
            name=name,
            description=PERMISSIONS[name],
            kinds=[RoleKind.GLOBAL, *([RoleKind.SITE] if name in SITE_SCOPES else [])],
        )
        for name in sorted(PERMISSIONS)
    ]
    start = (page.page - 1) * page.per_page
    return Page(
        items=items[start : start + page.per_page],
        total=len(items),
        page=page.page,
        per_page=page.per_page,
    )


def get_role(*, name: str) -> Role:
    """Return one role.

    Raises:
        NotFoundError: there is none of this name.
    """
    role = db.session.scalar(select(Role).where(Role.name == name))
    if role is None:
        raise NotFoundError("There is no such role.")
    return role


def create_role(*, actor: Actor, name: str, kind: RoleKind, change: RoleChange) -> Role:
    """Make a role.

    Raises:
        ForbiddenError: roles:write is missing, or the role would grant more than the actor holds.
        ConflictError: the name is taken.
        InvalidInputError: unknown permissions or roles, or ones that do not fit the kind.
    """
    actor.require("roles:write")
    now = utc_now()
    try:
        with transaction() as session:
            role = Role(
                name=name,
                kind=kind.value,
                description=change.description or "",
                permissions=[],
                effective=[],
                requires_totp=False,
                created_at=now,
                updated_at=now,
            )
            _apply(role, change)
            require_held(actor=actor, scopes=role.effective)
            session.add(role)
            record(actor=actor, action="role.created", target=_target(role), after=_shown(role))
    except IntegrityError as error:
        raise ConflictError("There is a role of this name already.") from error
    return role


def update_role(
    *, actor: Actor, name: str, change: RoleChange, expected_version: int | None = None
) -> Role:
    """Change a role, and with it what all roles grant that inherit from it.

    Raises:
        ForbiddenError: roles:write is missing, or the role or one that inherits from it grants
            more than the actor holds, before the change or after it.
        NotFoundError: there is none of this name.
        InvalidInputError: unknown permissions or roles, `role_cycle`, or a second factor that
            the actor would need and has not set up.
        ConflictError: `last_admin`, nobody would be left who can administer.
        PreconditionError: `expected_version` is not the present one.
    """
    actor.require("roles:write")
    with transaction() as session:
        role = get_role(name=name)
        _require_rights_of(actor, role)
        _bump(role, expected_version)
        before = _shown(role)
        _apply(role, change)
        session.flush()  # the dependants are found by their links
        _refresh_dependants(role)
        _require_rights_of(actor, role)
        record(
            actor=actor,
            action="role.updated",
            target=_target(role),
            before=before,
            after=_shown(role),
        )
        require_an_admin()
        if role.requires_totp and not before["requires_totp"]:
            _require_own_totp(actor, role)
    return role


def delete_role(*, actor: Actor, name: str) -> None:
    """Delete a role that nobody has and nothing inherits.

    Raises:
        ForbiddenError: roles:write is missing, or the role grants more than the actor holds.
        NotFoundError: there is none of this name.
        ConflictError: `role_in_use`, also for the roles that ship.
    """
    actor.require("roles:write")
    with transaction() as session:
        role = get_role(name=name)
        _require_rights_of(actor, role)
        reasons = _uses(role)
        if reasons:
            raise ConflictError(
                f"The role is in use: {', '.join(reasons)}.",
                code=ErrorCode.ROLE_IN_USE,
                members={"reasons": reasons},
            )
        record(actor=actor, action="role.deleted", target=_target(role), before=_shown(role))
        session.delete(role)


def require_changeable(*, actor: Actor, name: str) -> None:
    """Refuse early what `update_role` and `delete_role` would refuse.

    Raises:
        ForbiddenError: roles:write is missing, or the role grants more than the actor holds.
        NotFoundError: there is none of this name.
    """
    actor.require("roles:write")
    _require_rights_of(actor, get_role(name=name))


def _require_rights_of(actor: Actor, role: Role) -> None:
    """Refuse unless the actor holds what `role` grants, and what its dependants do."""
    affected, seen = [role], {role.id}
    for one in affected:
        require_held(actor=actor, scopes=one.effective)
        children = [child for child in _children(one) if child.id not in seen]
        seen.update(child.id for child in children)
        affected.extend(children)


def _require_own_totp(actor: Actor, role: Role) -> None:
    """Refuse that somebody locks themselves out by what they ask of everybody in their role."""
    mine = User.id == actor.user_id
    locked_out = select(User.id).where(
        mine, User.role_id == role.id, User.totp_confirmed_at.is_(None)
    )
    if db.session.scalar(locked_out) is not None:
        raise InvalidInputError.field(
            "/requires_totp", "this is your own role; set up a second factor of your own first"
        )


def _apply(role: Role, change: RoleChange) -> None:
    if change.description is not None:
        role.description = change.description
    if change.permissions is not None:
        role.permissions = _checked_permissions(role.kind, change.permissions)
    if change.inherits is not None:
        role.inherits = _checked_parents(role, change.inherits)
    if change.requires_totp is not None:
        _require_global(role, "/requires_totp", wanted=change.requires_totp)
        role.requires_totp = change.requires_totp
    _flatten(role)


def _flatten(role: Role) -> None:
    """Compute what the role grants altogether; `admin` means everything there is.

    A global role that may see sites sees all of them.
    """
    granted = set(role.permissions)
    for parent in role.inherits:
        granted.update(parent.effective)
    if ADMIN_SCOPE in granted:
        granted.update(PERMISSIONS)
    role.effective = sorted(granted)
    role.sees_all_sites = role.kind == RoleKind.GLOBAL.value and "sites:read" in granted


def _refresh_dependants(role: Role) -> None:
    """Flatten again whatever inherits from `role`, nearest first."""
    for child in _children(role):
        before = list(child.effective)
        _flatten(child)
        if child.effective != before:
            child.version += 1
            db.session.flush()  # the next generation reads this one
            _refresh_dependants(child)


def _children(role: Role) -> Sequence[Role]:
    return db.session.scalars(
        select(Role)
        .join(role_inherits, role_inherits.c.role_id == Role.id)
        .where(role_inherits.c.parent_id == role.id)
    ).all()


def _checked_permissions(kind: str, permissions: Iterable[str]) -> list[str]:
    possible = SITE_SCOPES if kind == RoleKind.SITE.value else PERMISSIONS.keys()
    errors = [
        FieldError(f"/permissions/{index}", "unknown", f"There is no such permission for {kind}.")
        for index, permission in enumerate(permissions)
        if permission not in possible
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)
    return sorted(set(permissions))


def _checked_parents(role: Role, names: Sequence[str]) -> list[Role]:
    found = db.session.scalars(
        select(Role).where(Role.name.in_(names), Role.kind == role.kind)
    ).all()
    known = {parent.name: parent for parent in found}
    errors = [
        FieldError(f"/inherits/{index}", "unknown", f"There is no such {role.kind} role.")
        for index, name in enumerate(names)
        if name not in known
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)
    for parent in known.values():
        _refuse_cycle(role, parent)
    return [known[name] for name in sorted(known)]


def _refuse_cycle(role: Role, parent: Role) -> None:
    waiting, seen = [parent], set()
    while waiting:
        ancestor = waiting.pop()
        if ancestor.name == role.name:
            raise InvalidInputError(
                "A role cannot inherit from itself, directly or through others.",
                code=ErrorCode.ROLE_CYCLE,
            )
        if ancestor.id not in seen:
            seen.add(ancestor.id)
            waiting.extend(ancestor.inherits)


def _require_global(role: Role, pointer: str, *, wanted: bool) -> None:
    if wanted and role.kind != RoleKind.GLOBAL.value:
        raise InvalidInputError.field(pointer, "only global roles can require a second factor")


def _uses(role: Role) -> list[str]:
    counts = {
        "users": select(func.count()).select_from(User).where(User.role_id == role.id),
        "members": select(func.count())
        .select_from(Membership)
        .where(Membership.role_id == role.id),
        "roles": select(func.count())
        .select_from(role_inherits)
        .where(role_inherits.c.parent_id == role.id),
        "grants": select(func.count())
        .select_from(AccessGrant)
        .where(AccessGrant.role_id == role.id, grant_counts()),
        "approval policies": select(func.count())
        .select_from(ApprovalPolicy)
        .where(ApprovalPolicy.approver_role_id == role.id),
    }
    reasons = ["it ships with Relevo"] if role.shipped else []
    for name, query in counts.items():
        number = db.session.scalar(query)
        if number:
            reasons.append(f"{number} {name}")
    return reasons


def _bump(role: Role, expected_version: int | None) -> None:
    statement = update(Role).where(Role.id == role.id)
    if expected_version is not None:
        statement = statement.where(Role.version == expected_version)
    values = {"version": Role.version + 1, "updated_at": utc_now()}
    if changed_rows(statement.values(values)) == 0:
        raise PreconditionError("The role was changed by somebody else.")
    db.session.refresh(role)


def _shown(role: Role) -> dict[str, object]:
    return {
        "description": role.description,
        "permissions": role.permissions,
        "inherits": [parent.name for parent in role.inherits],
        "requires_totp": role.requires_totp,
    }


def _target(role: Role) -> Target:
    return Target(type="role", id=role.name)
