"""Falsify the audit trail in every way, and look whether the proof names the first bad event."""

import random
import tempfile
from pathlib import Path

from models.engine import db
from services import audit_proof
from services.actors import system_actor
from services.audit import Target, record
from tests.audit_tampering import TAMPERINGS
from tests.people import make_people
from tests.prove import seeds

NAME = "audit"
TITLE = "Falsified audit trails"
MISSED = "falsifications not found, or named at another event"
THRESHOLDS = {MISSED: "== 0", "false alarms": "== 0"}
EVENTS = 40
ROUNDS, QUICK_ROUNDS = 1_000, 20


def run(full: bool) -> dict[str, object]:
    """Falsify copies of one trail, each once, at random places."""
    rounds = ROUNDS if full else QUICK_ROUNDS
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        people = make_people(Path(folder))
        with people.app.app_context():
            _fill()
            anchor = audit_proof.make_anchor(actor=system_actor())
            missed = {kind: _falsify(kind, rounds, anchor) for kind in TAMPERINGS}
            alarms = sum(not _is_valid(anchor) for _ in range(rounds // 10))
            db.session.remove()
            db.engine.dispose()
    return {
        "ways to falsify": len(TAMPERINGS),
        "falsifications of each": rounds,
        **{f"not found: {kind}": count for kind, count in missed.items() if count},
        MISSED: sum(missed.values()),
        "false alarms": alarms,
    }


def _fill() -> None:
    for number in range(EVENTS):
        record(
            actor=system_actor(),
            action="thing.changed",
            target=Target(type="thing", id=str(number)),
            before={"number": number},
            after={"number": number + 1},
        )


def _falsify(kind: str, rounds: int, anchor: str) -> int:
    chance, missed = random.Random(f"{seeds.seed()} {kind}"), 0
    for _ in range(rounds):
        db.session.rollback()
        db.session.expunge_all()
        first_bad = TAMPERINGS[kind](db.session.connection(), chance, EVENTS)
        proof = audit_proof.verify(actor=system_actor(), anchor=anchor)
        missed += proof.valid or proof.first_invalid != first_bad
    db.session.rollback()
    return missed


def _is_valid(anchor: str) -> bool:
    db.session.rollback()
    db.session.expunge_all()
    return audit_proof.verify(actor=system_actor(), anchor=anchor).valid
