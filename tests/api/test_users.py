import csv
import io

import pytest

from tests.people import OTHER_PASSWORD, PASSWORD, People, find

NEW = {"username": "ana", "email": "ana@example.org"}
FOREIGN = {
    "id": 1,
    "password_hash": "x",
    "is_admin": True,
    "token_version": 7,
    "totp_enabled": True,
    "totp_secret": "x",
    "created_at": "2020-01-01T00:00:00Z",
    "role_id": 1,
    "erased_at": None,
    "version": 9,
}


def test_a_user_is_made_shown_changed_deactivated_and_erased(people: People) -> None:
    admin = people.caller("root")
    made = admin.post("/users", NEW | {"password": PASSWORD})
    shown = admin.get("/users/ana")
    tag = shown.headers["ETag"]
    changed = admin.patch("/users/ana", {"role": "maintainer"}, If_Match=tag)
    stale = admin.patch("/users/ana", {"role": "member"}, If_Match=tag)

    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/users/ana")
    assert "invitation_url" not in made.json
    assert shown.json == made.json
    assert changed.json["role"] == "maintainer"
    assert changed.headers["ETag"] != tag
    assert (stale.status_code, stale.json["code"]) == (412, "precondition_failed")
    assert admin.call("PATCH", "/users/ana", {"role": "member"}).status_code == 428
    assert admin.delete("/users/ana").status_code == 204
    assert admin.get("/users/ana").json["is_active"] is False
    assert admin.post("/users/ana/erase").status_code == 204
    assert admin.get("/users/ana").status_code == 404


def test_an_invitation_is_shown_once(people: People) -> None:
    admin = people.caller("root")

    made = admin.post("/users", NEW).json

    assert made["invitation_url"].startswith("http://localhost:8000/reset#token=")
    assert "invitation_url" not in admin.get("/users/ana").json


@pytest.mark.parametrize("field", FOREIGN)
def test_no_other_column_can_be_written(people: People, field: str) -> None:
    admin = people.caller("root")
    people.user("bob")

    made = admin.post("/users", NEW | {field: FOREIGN[field]})
    changed = admin.patch("/users/bob", {field: FOREIGN[field]})

    for answer in (made, changed):
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == f"/{field}"
    assert admin.get("/users/ana").status_code == 404


def test_the_last_administrator_stays_by_every_way(people: People) -> None:
    admin = people.caller("root")

    answers = [
        admin.patch("/users/root", {"role": "member"}),
        admin.patch("/users/root", {"is_active": False}),
        admin.delete("/users/root"),
        admin.post("/users/root/erase"),
        admin.patch("/roles/admin", {"permissions": ["sites:read"]}),
    ]

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {
        (409, "last_admin")
    }
    assert admin.get("/users/root").json["role"] == "admin"


def test_users_are_listed_filtered_and_sorted(people: People) -> None:
    people.user("ana", "auditor")
    people.user("bob")
    admin = people.caller("root")

    def names(query: str) -> list[str]:
        return [user["username"] for user in admin.get(f"/users?{query}").json["items"]]

    assert names("sort=username") == ["ana", "bob", "root"]
    assert names("sort=-username&per_page=1") == ["root"]
    assert names("role=auditor") == ["ana"]
    assert names("q=BOB") == ["bob"]
    assert names("is_active=false") == []
    assert admin.get("/users?sort=password_hash").status_code == 422
    assert admin.get("/users?per_page=101").status_code == 422
    assert admin.get("/users?unknown=1").status_code == 422


def test_users_come_as_csv(people: People) -> None:
    people.user("ana", email="=cmd|' /C calc'!A0@example.org")
    admin = people.caller("root")

    answer = admin.get("/users?sort=username", Accept="text/csv")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.mimetype == "text/csv"
    assert [row["username"] for row in rows] == ["ana", "root"]
    assert rows[0]["email"].startswith("'=")


def test_an_own_contact_and_those_of_others(people: People) -> None:
    ana, bob = people.caller("ana", "member"), people.caller("bob", "member")
    admin = people.caller("root")
    details = {"full_name": "Ana Müller", "city": "Graz"}

    written = ana.put("/users/ana/contact", details)

    assert written.json == {**details, "phone": None, "country": None, "organisation": None}
    assert admin.get("/users/ana/contact").json == written.json
    assert bob.get("/users/ana/contact").status_code == 404
    assert bob.put("/users/ana/contact", details).status_code == 404
    stale = admin.put("/users/ana/contact", {}, If_Match='"stale"')
    assert stale.status_code == 412
    assert ana.delete("/users/ana/contact").status_code == 204
    assert ana.get("/users/ana/contact").json["city"] is None


def test_a_foreign_user_is_the_same_as_an_absent_one(people: People) -> None:
    people.user("bob")
    ana = people.caller("ana", "member")

    foreign = ana.get("/users/bob", X_Request_ID="12345678")
    absent = ana.get("/users/nobody", X_Request_ID="12345678")

    assert foreign.status_code == absent.status_code == 404
    assert foreign.data == absent.data


def test_secrets_of_users_are_in_no_answer(people: People) -> None:
    admin = people.caller("root")
    with people.app.app_context():
        stored = find("root").password_hash or ""

    for path in ("/users", "/users/root", "/users/root/contact", "/audit?per_page=100"):
        text = admin.get(path).text
        assert stored not in text
        assert "argon2" not in text


def test_a_password_set_for_somebody_else_works(people: People) -> None:
    people.user("ana")
    admin = people.caller("root")

    answer = admin.patch("/users/ana", {"password": OTHER_PASSWORD})

    assert answer.status_code == 200
    login = {"username": "ana", "password": OTHER_PASSWORD}
    assert people.nobody.post("/auth/login", login).status_code == 200


def test_a_repeated_creation_answers_as_the_first_did(people: People) -> None:
    admin = people.caller("root")

    first = admin.post("/users", NEW, Idempotency_Key="run-1")
    again = admin.post("/users", NEW, Idempotency_Key="run-1")

    assert first.data == again.data
    assert again.headers["Idempotency-Replayed"] == "true"
