import pytest
from sqlalchemy import select

from core.errors import ConflictError, ErrorCode
from models.engine import Base, db
from services import audit_proof, contacts
from services.actors import system_actor
from services.audit_trail import AuditFilter, list_events
from services.contacts import ContactDetails
from services.erasure import erase
from services.paging import CursorRequest
from tests.people import People, find


def test_nothing_tells_who_an_erased_user_was(inside: People) -> None:
    inside.user("canary-ana")
    inside.site("web", **{"canary-ana": "owner"})
    inside.token("canary-ana", name="canary token", scopes=["requests:read"])
    actor = inside.actor("canary-ana")
    details = ContactDetails(full_name="Canary Müller", phone="canary", city="canary")
    contacts.replace_contact(actor=actor, username="canary-ana", details=details)

    erase(actor=inside.actor("root"), username="canary-ana")

    assert "canary" not in _dump().lower()


def test_what_an_erased_user_did_stays_and_verifies(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")
    contacts.replace_contact(actor=actor, username="ana", details=ContactDetails(city="Graz"))
    user_id = find("ana").id

    erase(actor=inside.actor("root"), username="ana")

    name = f"erased-{user_id}"
    found = list_events(actor=system_actor(), page=CursorRequest(), wanted=AuditFilter(actor=name))
    assert [entry.event.action for entry in found.items] == ["contact.updated"]
    assert audit_proof.verify(actor=system_actor()).valid


def test_a_name_is_free_again(inside: People) -> None:
    inside.user("ana")
    erase(actor=inside.actor("root"), username="ana")

    inside.user("ana")

    assert find("ana").is_active


def test_the_last_administrator_is_not_erased(inside: People) -> None:
    with pytest.raises(ConflictError) as refusal:
        erase(actor=inside.actor("root"), username="root")

    assert refusal.value.code is ErrorCode.LAST_ADMIN
    assert find("root").email == "root@example.org"


def _dump() -> str:
    db.session.rollback()
    return "\n".join(
        repr(tuple(row))
        for table in Base.metadata.sorted_tables
        for row in db.session.execute(select(table))
    )
