from tests.people import People

PRESS = {"name": "press", "kind": "site", "permissions": ["releases:write"], "inherits": ["reader"]}


def test_a_role_is_made_shown_changed_and_deleted(people: People) -> None:
    admin = people.caller("root")

    made = admin.post("/roles", PRESS)
    shown = admin.get("/roles/press")
    changed = admin.patch("/roles/press", {"inherits": []}, If_Match=shown.headers["ETag"])

    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/roles/press")
    assert made.json["effective"] == [
        "databases:read",
        "releases:write",
        "requests:read",
        "sites:read",
    ]
    assert shown.json == made.json
    assert changed.json["effective"] == ["releases:write"]
    assert admin.delete("/roles/press").status_code == 204
    assert admin.get("/roles/press").status_code == 404


def test_refusals_name_their_reason(people: People) -> None:
    admin = people.caller("root")
    admin.post("/roles", PRESS)
    admin.post("/roles", PRESS | {"name": "child", "inherits": ["press"]})

    circle = admin.patch("/roles/press", {"inherits": ["child"]})
    used = admin.delete("/roles/press")
    taken = admin.post("/roles", PRESS)
    unknown = admin.post("/roles", PRESS | {"name": "x", "permissions": ["sites:fly"]})

    assert (circle.status_code, circle.json["code"]) == (422, "role_cycle")
    assert (used.status_code, used.json["code"]) == (409, "role_in_use")
    assert (taken.status_code, taken.json["code"]) == (409, "already_exists")
    assert unknown.json["errors"][0]["pointer"] == "/permissions/0"


def test_the_shipped_roles_are_listed_by_kind(people: People) -> None:
    caller = people.caller("ana", "member")

    listed = caller.get("/roles?kind=site").json["items"]

    assert [role["name"] for role in listed] == ["deployer", "owner", "reader", "reviewer"]
    assert all(role["shipped"] for role in listed)


def test_permissions_are_listed_with_descriptions(people: People) -> None:
    caller = people.caller("ana", "member")

    answer = caller.get("/permissions?per_page=100").json

    assert answer["meta"]["total"] == len(answer["items"])
    assert all(entry["description"] for entry in answer["items"])
    assert caller.get("/permissions?page=2").json["items"]


def test_an_edit_counts_on_the_next_request(people: People) -> None:
    admin = people.caller("root")
    admin.post("/roles", {"name": "desk", "kind": "global", "permissions": ["users:read"]})
    caller = people.caller("ana", "desk")
    assert caller.get("/users").status_code == 200

    admin.patch("/roles/desk", {"permissions": []})

    assert caller.get("/users").status_code == 403
