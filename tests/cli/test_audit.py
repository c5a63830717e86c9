from sqlalchemy import text

from models.engine import db
from tests.cli.commands import Relevo
from tests.people import People


def _fill(people: People) -> None:
    people.user("ana")
    for city in ("Graz", "Wien", "Linz"):
        people.caller("root").put("/users/ana/contact", {"city": city})


def _execute(people: People, *statements: str) -> None:
    with people.app.app_context():
        for statement in statements:
            db.session.execute(text(statement))
        db.session.commit()


def test_an_untouched_trail_is_confirmed(relevo: Relevo, people: People) -> None:
    _fill(people)
    anchor = relevo("audit", "anchor").stdout.strip()

    confirmed = relevo("audit", "verify", "--anchor", anchor)

    assert confirmed.exit_code == 0
    assert "3 events are as they were written." in confirmed.stdout
    assert anchor in confirmed.stdout


def test_the_first_bad_event_is_named(relevo: Relevo, people: People) -> None:
    _fill(people)
    _execute(people, "UPDATE audit_events SET address = '203.0.113.9' WHERE id = 2")

    refused = relevo("audit", "verify")

    assert refused.exit_code == 1
    assert "Event 2 is not as it was written." in refused.stdout


def test_a_cut_end_is_found_with_the_anchor(relevo: Relevo, people: People) -> None:
    _fill(people)
    anchor = relevo("audit", "anchor").stdout.strip()
    _execute(
        people,
        "DELETE FROM audit_events WHERE id = 3",
        "UPDATE audit_heads SET count = 2, "
        "last_hash = (SELECT hash FROM audit_events WHERE id = 2)",
    )

    assert relevo("audit", "verify").exit_code == 0
    assert relevo.document("audit", "verify", "--anchor", anchor, exit_code=1) == {
        "valid": False,
        "checked": 2,
        "first_invalid": 3,
        "anchor": relevo("audit", "anchor").stdout.strip(),
    }


def test_a_note_from_elsewhere_is_no_anchor(relevo: Relevo) -> None:
    refused = relevo("audit", "verify", "--anchor", "12.abc.def")

    assert refused.exit_code == 1
    assert "anchor" in refused.stderr
