import random
from collections.abc import Callable

import pytest
from sqlalchemy import text

from core.errors import ForbiddenError, InvalidInputError
from models.engine import db
from services import audit_proof
from services.actors import system_actor
from services.audit import Target, record
from services.audit_proof import Proof
from tests.audit_tampering import TAMPERINGS, rechain
from tests.people import People

EVENTS = 30
ROUNDS = 20


def _fill(count: int = EVENTS) -> None:
    for number in range(count):
        record(
            actor=system_actor(),
            action="thing.changed",
            target=Target(type="thing", id=str(number)),
            before={"number": number},
            after={"number": number + 1, "text": "fünf"},
        )


def _verify(anchor: str | None = None) -> Proof:
    db.session.rollback()
    db.session.expunge_all()
    return audit_proof.verify(actor=system_actor(), anchor=anchor)


def test_an_untouched_trail_is_valid(inside: People) -> None:
    assert _verify() == Proof(valid=True, checked=0, first_invalid=None, anchor=_verify().anchor)
    anchor = _verify().anchor
    _fill()

    proof = _verify(anchor)

    assert (proof.valid, proof.checked) == (True, EVENTS)
    assert _verify(proof.anchor).valid


def test_batches_join_without_a_seam(inside: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_proof, "BATCH_ROWS", 7)
    _fill(28)

    assert _verify().checked == 28


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_tampering_is_found_and_the_first_bad_event_named(inside: People, kind: str) -> None:
    _fill()
    anchor = audit_proof.make_anchor(actor=system_actor())
    chance = random.Random(kind)

    for _ in range(ROUNDS):
        connection = db.session.connection()
        first_bad = TAMPERINGS[kind](connection, chance, EVENTS)

        proof = audit_proof.verify(actor=system_actor(), anchor=anchor)

        assert (proof.valid, proof.first_invalid) == (False, first_bad)
        db.session.rollback()
        db.session.expunge_all()
    assert _verify(anchor).valid


def test_a_tail_cut_with_its_head_needs_the_anchor(inside: People) -> None:
    _fill()
    anchor = audit_proof.make_anchor(actor=system_actor())
    connection = db.session.connection()
    TAMPERINGS["cut tail and head"](connection, random.Random(1), EVENTS)

    without = audit_proof.verify(actor=system_actor())
    with_anchor = audit_proof.verify(actor=system_actor(), anchor=anchor)

    assert without.valid
    assert not with_anchor.valid


def test_a_chain_made_anew_with_the_key_needs_the_anchor(inside: People) -> None:
    _fill()
    anchor = audit_proof.make_anchor(actor=system_actor())
    connection = db.session.connection()
    connection.execute(text("UPDATE audit_events SET action = 'nothing' WHERE id = 7"))
    rechain(connection)

    without = audit_proof.verify(actor=system_actor())
    with_anchor = audit_proof.verify(actor=system_actor(), anchor=anchor)

    assert without.valid
    assert (with_anchor.valid, with_anchor.first_invalid) == (False, EVENTS)


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: "",
        lambda _: "nonsense",
        lambda anchor: anchor[:-1],
        lambda anchor: "9" + anchor,
        lambda anchor: anchor.replace(".", ".0", 1)[:-1],
        lambda _: "0." + "0" * 64 + ".",
        lambda anchor: anchor + "ü",
    ],
)
def test_a_forged_anchor_is_refused(inside: People, forge: Callable[[str], str]) -> None:
    _fill(3)
    anchor = audit_proof.make_anchor(actor=system_actor())

    with pytest.raises(InvalidInputError):
        audit_proof.verify(actor=system_actor(), anchor=forge(anchor))


def test_proving_needs_the_right_to_read(inside: People) -> None:
    actor = inside.actor("ana", "maintainer")

    with pytest.raises(ForbiddenError):
        audit_proof.verify(actor=actor)
    with pytest.raises(ForbiddenError):
        audit_proof.make_anchor(actor=actor)


def test_an_anchor_in_the_log_can_be_used(inside: People, caplog: pytest.LogCaptureFixture) -> None:
    _fill(3)

    with caplog.at_level("INFO"):
        audit_proof.log_anchor()

    anchor = caplog.records[-1].__dict__["anchor"]
    assert _verify(anchor).valid
