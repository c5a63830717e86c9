import pytest

from core.errors import ForbiddenError, NotFoundError
from services import contacts
from services.contacts import ContactDetails
from tests.people import People

DETAILS = ContactDetails(full_name="Ana Müller", phone="+43 1 2345", city="Graz")


def test_a_contact_is_empty_until_it_is_written(inside: People) -> None:
    inside.user("ana")

    assert contacts.get_contact(actor=inside.actor("ana"), username="ana").full_name is None


def test_one_writes_replaces_and_deletes_the_own_contact(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("ana")

    contacts.replace_contact(actor=actor, username="ana", details=DETAILS)
    contacts.replace_contact(actor=actor, username="ana", details=ContactDetails(city="Wien"))

    contact = contacts.get_contact(actor=actor, username="ana")
    assert (contact.full_name, contact.city) == (None, "Wien")
    contacts.delete_contact(actor=actor, username="ana")
    contacts.delete_contact(actor=actor, username="ana")
    assert contacts.get_contact(actor=actor, username="ana").city is None


def test_somebody_else_s_contact_does_not_exist(inside: People) -> None:
    inside.user("ana")
    inside.user("bob")
    actor = inside.actor("bob")

    with pytest.raises(NotFoundError):
        contacts.get_contact(actor=actor, username="ana")
    with pytest.raises(NotFoundError):
        contacts.replace_contact(actor=actor, username="ana", details=DETAILS)
    with pytest.raises(NotFoundError):
        contacts.delete_contact(actor=actor, username="ana")


def test_reading_others_is_not_writing_them(inside: People) -> None:
    inside.user("ana")
    actor = inside.actor("eve", "auditor")

    assert contacts.get_contact(actor=actor, username="ana").full_name is None
    with pytest.raises(ForbiddenError):
        contacts.replace_contact(actor=actor, username="ana", details=DETAILS)
    with pytest.raises(ForbiddenError):
        contacts.delete_contact(actor=actor, username="ana")


def test_an_administrator_writes_any_contact(inside: People) -> None:
    inside.user("ana")

    contact = contacts.replace_contact(actor=inside.actor("root"), username="ana", details=DETAILS)

    assert contact.full_name == "Ana Müller"
