import csv
import io
from collections.abc import Callable

from sqlalchemy import text

from models.engine import db
from tests.people import Answer, People

FIELDS = {
    "id",
    "number",
    "at",
    "actor",
    "via",
    "token",
    "address",
    "request_id",
    "action",
    "target",
    "before",
    "after",
    "hash",
}


def _actions(people: People, query: str = "") -> list[str]:
    items = people.caller("root").get(f"/audit?{query}").json["items"]
    return [event["action"] for event in items]


def test_an_event_says_who_did_what_to_which_thing(people: People) -> None:
    people.user("ana")
    admin = people.caller("root")
    admin.patch("/users/ana", {"role": "auditor"}, X_Request_ID="my-request-1")

    event = admin.get("/audit").json["items"][0]

    assert set(event) == FIELDS
    assert (event["actor"], event["via"], event["token"]) == ("root", "session", None)
    assert (event["address"], event["request_id"]) == ("127.0.0.1", "my-request-1")
    assert (event["action"], event["target"]) == ("user.updated", {"type": "user", "id": "ana"})
    assert (event["before"], event["after"]) == ({"role": "member"}, {"role": "auditor"})


def test_an_event_names_the_token_that_was_used(people: People) -> None:
    token = people.token(
        "root", scopes=["users:read", "users:write", "requests:read", "requests:write"]
    )
    headers = {"Authorization": f"Bearer {token.token}"}
    people.nobody.post("/users", {"username": "ana", "email": "a@b.org"}, **headers)

    event = people.caller("root").get("/audit?action=user.created").json["items"][0]

    assert (event["via"], event["token"]) == ("token", token.row.public_id)


def test_every_change_leaves_one_event(people: People) -> None:
    admin = people.caller("root")
    people.user("ana")
    people.site("web")
    changes: list[Callable[[], Answer]] = [
        lambda: admin.post(
            "/users",
            {"username": "bob", "email": "b@b.org", "password": "velvet tortoise 81 crane"},
        ),
        lambda: admin.patch("/users/bob", {"role": "auditor"}),
        lambda: admin.put("/users/bob/contact", {"city": "Graz"}),
        lambda: admin.delete("/users/bob/contact"),
        lambda: admin.put("/sites/web/members/bob", {"role": "reader"}),
        lambda: admin.put("/sites/web/members/bob", {"role": "owner"}),
        lambda: admin.delete("/sites/web/members/bob"),
        lambda: admin.post("/roles", {"name": "press", "kind": "site"}),
        lambda: admin.patch("/roles/press", {"permissions": ["sites:read"]}),
        lambda: admin.delete("/roles/press"),
        lambda: admin.post("/tokens", {"name": "x", "preset": "read"}),
        lambda: admin.post("/auth/totp"),
        lambda: admin.delete("/users/bob"),
        lambda: admin.post("/users/bob/erase"),
        lambda: admin.post("/auth/logout"),
    ]

    for change in changes:
        before = _count(people)
        answer = change()
        assert answer.status_code < 300, answer.text
        assert _count(people) == before + 1, answer.request.path


def test_events_are_filtered(people: People) -> None:
    people.user("ana")
    ana, admin = people.caller("ana"), people.caller("root")
    ana.put("/users/ana/contact", {"city": "Graz"})
    admin.patch("/users/ana", {"role": "auditor"})

    assert _actions(people, "actor=ana") == ["contact.updated"]
    assert _actions(people, "actor=nobody") == []
    assert _actions(people, "action=user.updated") == ["user.updated"]
    assert _actions(people, "action=contact.*") == ["contact.updated"]
    assert _actions(people, "target=user:ana") == ["user.updated", "contact.updated"]
    assert _actions(people, "target=role") == []
    assert _actions(people, "since=2100-01-01T00:00:00Z") == []
    assert _actions(people, "until=2000-01-01T00:00:00Z") == []
    assert len(_actions(people, "since=2000-01-01T00:00:00Z")) == 2


def test_a_history_is_read_in_parts(people: People) -> None:
    people.user("ana")
    admin = people.caller("root")
    for number in range(7):
        admin.put("/users/ana/contact", {"city": str(number)})

    numbers, cursor = [], ""
    while True:
        answer = admin.get(f"/audit?per_page=3{cursor}")
        numbers += [event["number"] for event in answer.json["items"]]
        following = answer.json["meta"]["next_cursor"]
        if following is None:
            break
        cursor = f"&cursor={following}"

    assert numbers == list(range(7, 0, -1))


def test_the_trail_comes_as_csv(people: People) -> None:
    people.user("ana")
    admin = people.caller("root")
    admin.put("/users/ana/contact", {"city": "Graz"})

    rows = list(csv.DictReader(io.StringIO(admin.get("/audit", Accept="text/csv").text)))

    assert [row["action"] for row in rows] == ["contact.updated"]


def test_the_trail_is_verified_with_and_without_an_anchor(people: People) -> None:
    people.user("ana")
    admin = people.caller("root")
    admin.put("/users/ana/contact", {"city": "Graz"})
    good = admin.get("/audit/verify").json
    anchored = admin.get(f"/audit/verify?anchor={good['anchor']}").json
    with people.app.app_context():
        db.session.execute(text("UPDATE audit_events SET action = 'nothing' WHERE id = 1"))
        db.session.commit()

    bad = admin.get("/audit/verify").json

    assert (good["valid"], good["checked"], good["first_invalid"]) == (True, 1, None)
    assert anchored["valid"]
    assert (bad["valid"], bad["first_invalid"]) == (False, 1)
    assert admin.get("/audit/verify?anchor=nonsense").status_code == 422


def _count(people: People) -> int:
    with people.app.app_context():
        return db.session.scalar(text("SELECT count FROM audit_heads")) or 0


def test_a_refused_change_leaves_an_event_and_a_refused_look_does_not(people: People) -> None:
    people.user("bob")
    ana, admin = people.caller("ana", "auditor"), people.caller("root")
    token = people.token_caller("root", scopes=["users:read"])
    people.caller("eve", "member").get("/users")

    ana.patch("/users/bob", {"role": "admin"})
    admin.delete("/users/root")
    token.post("/tokens", {"name": "x", "preset": "read"})
    admin.patch("/users/bob", {"role": "nonsense"})

    events = admin.get("/audit?action=access.refused").json["items"]
    assert [(event["actor"], event["target"]["id"], event["after"]) for event in events] == [
        ("root", "POST /api/v1/tokens", {"code": "session_required"}),
        ("root", "DELETE /api/v1/users/<username>", {"code": "last_admin"}),
        ("ana", "PATCH /api/v1/users/<username>", {"code": "scope_missing"}),
    ]
    assert events[0]["token"] is not None
