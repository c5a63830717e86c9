from tests.people import People


def test_members_are_added_shown_changed_and_removed(people: People) -> None:
    people.user("ana")
    people.user("bob")
    people.site("web", ana="owner")
    owner = people.caller("ana")

    added = owner.put("/sites/web/members/bob", {"role": "deployer"})
    changed = owner.put("/sites/web/members/bob", {"role": "reader"})

    assert added.status_code == 201
    assert added.headers["Location"] == "/api/v1/sites/web/members/bob"
    assert set(added.json) == {"username", "role", "since", "until", "request"}
    assert (changed.status_code, changed.json["role"]) == (200, "reader")
    listed = owner.get("/sites/web/members?sort=username").json["items"]
    assert [member["username"] for member in listed] == ["ana", "bob"]
    assert owner.delete("/sites/web/members/bob").status_code == 204
    assert owner.get("/sites/web/members/bob").status_code == 404


def test_a_new_member_sees_the_site_and_a_removed_one_does_not(people: People) -> None:
    people.user("ana")
    people.site("web", ana="owner")
    owner, bob = people.caller("ana"), people.caller("bob", "member")
    before = bob.get("/sites/web/members").status_code

    owner.put("/sites/web/members/bob", {"role": "reader"})
    during = bob.get("/sites/web/members").status_code
    owner.delete("/sites/web/members/bob")

    assert (before, during, bob.get("/sites/web/members").status_code) == (404, 200, 404)


def test_the_events_of_members_name_users(people: People) -> None:
    people.user("bob")
    people.site("web")
    admin = people.caller("root")
    admin.put("/sites/web/members/bob", {"role": "reader"})

    events = admin.get("/audit?target=member:bob").json["items"]

    assert [(event["action"], event["target"]) for event in events] == [
        ("member.added", {"type": "member", "id": "bob"})
    ]
