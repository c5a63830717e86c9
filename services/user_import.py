"""Many users at once: all of them or none, with every complaint named by its line."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields

from sqlalchemy import select

from core.errors import DomainError
from models.engine import db
from models.users import User
from services.actors import Actor
from services.admins import require_an_admin
from services.contacts import ContactDetails, replace_contact
from services.permissions import DEFAULT_ROLE
from services.transaction import transaction
from services.users import UserChange, create_user, find_by_name, update_user

BATCH_ROWS = 500
MAX_LENGTHS = {"full_name": 120, "phone": 40, "city": 80, "country": 80, "organisation": 120}


@dataclass(frozen=True, kw_only=True)
class UserRecord:
    """One user in a file; `line` is where it stands."""

    line: int
    username: str
    email: str | None
    role: str = DEFAULT_ROLE
    is_active: bool = True
    contact: ContactDetails = field(default_factory=ContactDetails)


@dataclass(frozen=True)
class RowError:
    """One complaint about one line."""

    line: int
    field: str
    message: str


@dataclass(kw_only=True)
class ImportReport:
    """What was done, or would be; nothing was if there are errors."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)
    invitations: list[tuple[str, str]] = field(default_factory=list)


class _UndoError(Exception):
    """Leaves the transaction without keeping anything."""


def import_users(
    *, actor: Actor, records: Sequence[UserRecord], dry_run: bool, invite: bool
) -> ImportReport:
    """Create the users that are missing and change those that differ.

    Args:
        dry_run: try everything and keep nothing.
        invite: make an invitation for each new user; its link is in the report.
    """
    report = ImportReport()
    _refuse_duplicates(records, report)
    try:
        with transaction():
            for record in records:
                _take(actor, record, report, invite=invite)
            _check_admins(report)
            _undo_if(dry_run or bool(report.errors))
    except _UndoError:
        report.invitations.clear()
    return report


def _undo_if(unwanted: bool) -> None:
    if unwanted:
        raise _UndoError


def export_users(*, actor: Actor) -> Iterator[UserRecord]:
    """Yield all users that were not erased, by name.

    Raises:
        ForbiddenError: users:read is not held everywhere.
    """
    actor.require("users:read")
    last = ""
    while True:
        users = db.session.scalars(
            select(User)
            .where(User.erased_at.is_(None), User.username > last)
            .order_by(User.username)
            .limit(BATCH_ROWS)
        ).all()
        if not users:
            return
        last = users[-1].username
        for user in users:
            yield _as_record(user)


def _take(actor: Actor, record: UserRecord, report: ImportReport, *, invite: bool) -> None:
    """Do one line; a refusal is written down and the others are still looked at."""
    if any(error.line == record.line for error in report.errors):
        return
    try:
        if _has_long_contact(record, report) or _has_taken_address(record, report):
            return
        present = find_by_name(record.username)
        if present is None:
            _create(actor, record, report, invite=invite)
        elif _as_record(present, line=record.line) == _normalised(record):
            report.unchanged += 1
        else:
            _change(actor, record, report)
    except DomainError as error:
        report.errors.extend(_row_errors(record, error))


def _create(actor: Actor, record: UserRecord, report: ImportReport, *, invite: bool) -> None:
    new = create_user(
        actor=actor,
        username=record.username,
        email=record.email,
        role=record.role,
        is_active=record.is_active,
        invite=invite,
    )
    if record.contact != ContactDetails():
        replace_contact(actor=actor, username=record.username, details=record.contact)
    if new.invitation_url is not None:
        report.invitations.append((record.username, new.invitation_url))
    report.created += 1


def _change(actor: Actor, record: UserRecord, report: ImportReport) -> None:
    change = UserChange(email=record.email, role=record.role, is_active=record.is_active)
    user = update_user(actor=actor, username=record.username, change=change)
    if _contact_of(user) != record.contact:
        replace_contact(actor=actor, username=record.username, details=record.contact)
    report.updated += 1


def _refuse_duplicates(records: Sequence[UserRecord], report: ImportReport) -> None:
    seen: dict[tuple[str, str], int] = {}
    for record in records:
        for name, value in (("username", record.username), ("email", record.email)):
            if value is None:
                continue
            first = seen.setdefault((name, value.lower()), record.line)
            if first != record.line:
                report.errors.append(RowError(record.line, name, f"is also on line {first}"))


def _has_taken_address(record: UserRecord, report: ImportReport) -> bool:
    if record.email is None:
        return False
    owner = db.session.scalar(select(User.username).where(User.email == record.email.lower()))
    if owner is None or owner == record.username:
        return False
    report.errors.append(RowError(record.line, "email", f"belongs to {owner} already"))
    return True


def _has_long_contact(record: UserRecord, report: ImportReport) -> bool:
    faults = [
        RowError(record.line, name, f"must have at most {longest} characters")
        for name, longest in MAX_LENGTHS.items()
        if len(getattr(record.contact, name) or "") > longest
    ]
    report.errors.extend(faults)
    return bool(faults)


def _check_admins(report: ImportReport) -> None:
    if not report.updated:
        return
    try:
        require_an_admin()
    except DomainError as error:
        report.errors.append(RowError(0, "role", error.detail))


def _row_errors(record: UserRecord, error: DomainError) -> list[RowError]:
    if not error.errors:
        return [RowError(record.line, "username", error.detail)]
    return [
        RowError(record.line, complaint.pointer.removeprefix("/"), complaint.message)
        for complaint in error.errors
    ]


def _as_record(user: User, *, line: int = 0) -> UserRecord:
    return UserRecord(
        line=line,
        username=user.username,
        email=user.email,
        role=user.role.name,
        is_active=user.is_active,
        contact=_contact_of(user),
    )


def _normalised(record: UserRecord) -> UserRecord:
    return UserRecord(
        line=record.line,
        username=record.username,
        email=record.email.lower() if record.email else None,
        role=record.role,
        is_active=record.is_active,
        contact=record.contact,
    )


def _contact_of(user: User) -> ContactDetails:
    if user.contact is None:
        return ContactDetails()
    return ContactDetails(
        **{entry.name: getattr(user.contact, entry.name) for entry in fields(ContactDetails)}
    )


def columns_of(record: UserRecord) -> dict[str, object]:
    """Return the fields of a record as a file has them."""
    return {
        "username": record.username,
        "email": record.email,
        "role": record.role,
        "is_active": record.is_active,
        **asdict(record.contact),
    }
