"""How to reach a user: one contact each, of oneself or with users:read and users:write."""

from dataclasses import asdict, dataclass

from core.clock import utc_now
from core.errors import NotFoundError
from models.users import Contact, User
from services.actors import Actor
from services.audit import record
from services.grants import require_held
from services.transaction import transaction
from services.users import get_user, user_target


@dataclass(frozen=True, kw_only=True)
class ContactDetails:
    """All fields of a contact; None where nothing is known."""

    full_name: str | None = None
    phone: str | None = None
    city: str | None = None
    country: str | None = None
    organisation: str | None = None


def get_contact(*, actor: Actor, username: str) -> Contact:
    """Return the contact of a user; empty when nothing was entered.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
    """
    user = get_user(actor=actor, username=username)
    return user.contact or Contact(user_id=user.id, version=0, updated_at=user.created_at)


def replace_contact(*, actor: Actor, username: str, details: ContactDetails) -> Contact:
    """Write the contact of a user; what is not given is cleared.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: it is somebody else's and users:write is missing.
    """
    with transaction() as session:
        user = _find_for_change(actor, username)
        contact = user.contact
        if contact is None:
            contact = Contact(user_id=user.id, version=0)
            session.add(contact)
        for name, value in asdict(details).items():
            setattr(contact, name, value)
        contact.version += 1
        contact.updated_at = utc_now()
        record(actor=actor, action="contact.updated", target=user_target(user))
    return contact


def require_changeable(*, actor: Actor, username: str) -> None:
    """Refuse early what `replace_contact` and `delete_contact` would refuse.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: it is somebody else's and users:write is missing.
    """
    _find_for_change(actor, username)


def delete_contact(*, actor: Actor, username: str) -> None:
    """Forget the contact of a user; nothing to forget is no error.

    Raises:
        NotFoundError: there is no such user, or the actor may not know of them.
        ForbiddenError: it is somebody else's and users:write is missing.
    """
    with transaction():
        user = _find_for_change(actor, username)
        if user.contact is not None:
            user.contact = None
            record(actor=actor, action="contact.deleted", target=user_target(user))


def _find_for_change(actor: Actor, username: str) -> User:
    user = get_user(actor=actor, username=username)
    if user.erased_at is not None:
        raise NotFoundError("There is no such user.")
    if user.id != actor.user_id:
        actor.require("users:write")
        require_held(actor=actor, scopes=user.role.effective)
    return user
