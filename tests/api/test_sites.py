"""`/sites` over HTTP: shapes, states, and who may."""

from functools import partial

import pytest

from core.extensions import site_store
from tests.api.refusals import pointers, refused_call
from tests.factories import audit_actions, live, make_site, send
from tests.people import People

FIELDS = {"slug", "name", "description", "url", "created_by", "created_at", "updated_at"}


@pytest.fixture(autouse=True)
def _store(inside: People) -> None:
    site_store().prepare()


def test_a_site_is_made_shown_changed_and_deleted(inside: People) -> None:
    ana = inside.caller("ana", "maintainer")

    made = ana.post("/sites", {"slug": "web", "name": "Web"})
    shown = ana.get("/sites/web")
    changed = ana.patch("/sites/web", {"description": "Ours"}, If_Match=shown.headers["ETag"])
    gone = ana.delete("/sites/web?confirm=web")

    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/sites/web")
    assert set(made.json) == FIELDS
    assert made.json["created_by"] == "ana"
    assert made.json["url"] == "http://web.localhost:8080/"
    assert made.json["created_at"].endswith("Z")
    assert (changed.status_code, changed.json["description"]) == (200, "Ours")
    assert (gone.status_code, gone.data) == (204, b"")
    assert ana.get("/sites/web").status_code == 404


def test_what_was_made_is_changed_without_reading_it_first(inside: People) -> None:
    root = inside.caller("root")

    made = root.post("/sites", {"slug": "web", "name": "Web"})
    changed = root.patch("/sites/web", {"name": "New"}, If_Match=made.headers["ETag"])

    assert changed.status_code == 200
    assert made.headers["ETag"] != changed.headers["ETag"]


def test_every_answer_that_shows_what_was_made_has_its_tag(inside: People) -> None:
    root = inside.caller("root")
    root.post("/sites", {"slug": "web", "name": "Web"})
    made = [
        root.post("/sites", {"slug": "blog", "name": "Blog"}),
        root.post("/sites/web/environments", {"name": "stage", "rank": 15}),
        root.post("/tags", {"name": "urgent"}),
        root.post("/requests", {"type": "general", "title": "Please"}),
        root.post("/roles", {"name": "helper", "kind": "site", "permissions": ["sites:read"]}),
    ]

    for answer in made:
        shown = root.get(answer.headers["Location"].removeprefix("/api/v1"))
        assert (answer.status_code, answer.headers.get("ETag")) == (201, shown.headers["ETag"])


def test_an_answer_that_tells_more_than_a_get_has_no_tag(inside: People) -> None:
    root = inside.caller("root")

    made = root.post("/users", {"username": "ana", "email": "ana@example.org"})

    assert made.json["invitation_url"]
    assert "ETag" not in made.headers


def test_who_may_not_read_what_was_made_gets_no_tag(inside: People) -> None:
    machine = inside.token_caller("root", scopes=["sites:write"])

    made = machine.post("/sites", {"slug": "web", "name": "Web"})

    assert (made.status_code, "ETag" in made.headers) == (201, False)


def test_a_site_has_test_and_main_at_once(inside: People) -> None:
    root = inside.caller("root")
    root.post("/sites", {"slug": "web", "name": "Web"})

    listed = root.get("/sites/web/environments").json

    assert [item["name"] for item in listed["items"]] == ["test", "main"]
    assert [item["policy"] for item in listed["items"]] == [
        {"auto": True, "required_approvals": 0},
        {"auto": False, "required_approvals": 0},
    ]
    assert listed["meta"] == {"page": 1, "per_page": 20, "total": 2, "next": None}


@pytest.mark.parametrize("slug", ["Web", "a--b", "-a", "a-", "", "x" * 41, "a b", "é"])
def test_a_slug_has_its_form(inside: People, slug: str) -> None:
    root = inside.caller("root")

    call = partial(root.post, "/sites", {"slug": slug, "name": "x"})

    assert pointers(refused_call(call, 422, "validation_failed")) == ["/slug"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"slug": "web"}, "/name"),
        ({"slug": "web", "name": ""}, "/name"),
        ({"slug": "web", "name": " \t"}, "/name"),
        ({"slug": "web", "name": "x" * 121}, "/name"),
        ({"slug": "web", "name": "x", "owner": "ana"}, "/owner"),
        ({"slug": 5, "name": "x"}, "/slug"),
    ],
)
def test_what_a_site_needs(inside: People, body: dict[str, object], pointer: str) -> None:
    root = inside.caller("root")

    document = refused_call(partial(root.post, "/sites", body), 422, "validation_failed")

    assert pointers(document) == [pointer]


def test_a_slug_is_taken_once(inside: People) -> None:
    make_site()
    root = inside.caller("root")

    refused_call(partial(root.post, "/sites", {"slug": "web", "name": "x"}), 409, "already_exists")


def test_making_sites_needs_the_scope_everywhere(inside: People) -> None:
    bob = inside.caller("bob", "member")

    call = partial(bob.post, "/sites", {"slug": "web", "name": "x"})

    document = refused_call(call, 403, "scope_missing")
    assert (document["required"], document["missing"]) == (["sites:write"], ["sites:write"])


def test_lists_show_what_one_may_see(inside: People) -> None:
    inside.user("ana")
    make_site("blog")
    make_site(ana="reader")

    seen = {
        name: [item["slug"] for item in inside.caller(name).get("/sites?sort=slug").json["items"]]
        for name in ("ana", "root")
    }

    assert seen == {"ana": ["web"], "root": ["blog", "web"]}


def test_lists_are_searched_sorted_and_cut(inside: People) -> None:
    for slug in ("alpha", "beta", "gamma"):
        make_site(slug)
    root = inside.caller("root")

    second = root.get("/sites?sort=-slug&per_page=1&page=2")

    assert [item["slug"] for item in second.json["items"]] == ["beta"]
    assert second.json["meta"] == {"page": 2, "per_page": 1, "total": 3, "next": 3}
    assert 'rel="next"' in second.headers["Link"]
    assert [item["slug"] for item in root.get("/sites?q=ALPH").json["items"]] == ["alpha"]
    for sort in ("slug", "name", "created_at", "updated_at", "-updated_at,slug"):
        assert root.get(f"/sites?sort={sort}").status_code == 200


@pytest.mark.parametrize(
    "query", ["sort=id", "sort=description", "per_page=101", "page=0", "unknown=1", "sort="]
)
def test_lists_refuse_what_they_do_not_know(inside: People, query: str) -> None:
    root = inside.caller("root")

    refused_call(partial(root.get, f"/sites?{query}"), 422, "validation_failed")


def test_what_was_read_already_is_not_sent_again(inside: People) -> None:
    make_site()
    root = inside.caller("root")
    tag = root.get("/sites/web").headers["ETag"]

    again = root.get("/sites/web", If_None_Match=tag)
    root.patch("/sites/web", {"name": "New"})
    changed = root.get("/sites/web", If_None_Match=tag)

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert changed.status_code == 200


def test_a_change_says_which_version_it_means(inside: People) -> None:
    make_site()
    root = inside.caller("root")
    tag = root.get("/sites/web").headers["ETag"]
    change = {"name": "New"}

    refused_call(partial(root.call, "PATCH", "/sites/web", change), 428, "precondition_required")
    root.patch("/sites/web", change, If_Match=tag)
    refused_call(
        partial(root.patch, "/sites/web", {"name": "Newer"}, If_Match=tag),
        412,
        "precondition_failed",
    )


@pytest.mark.parametrize("query", ["", "?confirm=other", "?confirm="])
def test_a_site_is_deleted_by_its_slug_said_twice(inside: People, query: str) -> None:
    make_site(main=("one",))
    root = inside.caller("root")

    document = refused_call(partial(root.delete, f"/sites/web{query}"), 422, "validation_failed")

    assert pointers(document) == ["?confirm"]
    assert live() == 1


def test_a_site_of_others_is_not_there(inside: People) -> None:
    make_site(main=("one",))
    bob = inside.caller("bob", "member")

    for call in (
        partial(bob.get, "/sites/web"),
        partial(bob.patch, "/sites/web", {"nonsense": 1}),
        partial(bob.delete, "/sites/web"),
        partial(bob.post, "/sites/web/prune", {"nonsense": 1}),
        partial(bob.post, "/sites/web/promotions", {"nonsense": 1}),
        partial(bob.post, "/sites/web/rollback", {"nonsense": 1}),
        partial(bob.get, "/sites/web/releases/1/files/index.html"),
        partial(send, bob, "two", nonsense=1),
    ):
        refused_call(call, 404, "not_found")


def test_a_reader_is_told_what_is_missing_before_the_body_is_looked_at(inside: People) -> None:
    inside.user("ana")
    make_site(ana="reader")
    ana = inside.caller("ana")

    for call, scope in (
        (partial(ana.patch, "/sites/web", {"nonsense": 1}), "sites:write"),
        (partial(ana.delete, "/sites/web"), "sites:write"),
        (partial(ana.post, "/sites/web/environments", {"nonsense": 1}), "environments:write"),
        (partial(ana.post, "/sites/web/promotions", {"nonsense": 1}), "promotions:write"),
        (partial(ana.post, "/sites/web/rollback", {"nonsense": 1}), "promotions:rollback"),
        (partial(send, ana, "two", nonsense=1), "releases:write"),
    ):
        document = refused_call(call, 403, "scope_missing")
        assert document["missing"] == [scope]


def test_nobody_is_asked_for_a_token(inside: People) -> None:
    make_site()

    answer = inside.nobody.get("/sites/web")

    assert (answer.status_code, answer.json["code"]) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_pruning_tells_first_and_deletes_then(inside: People) -> None:
    make_site(main=("one",))
    root = inside.caller("root")
    for text in ("two", "three", "four"):
        send(root, text, to="none")
    order = {"keep": 1, "older_than_days": 0}

    planned = root.post("/sites/web/prune", {**order, "dry_run": True})
    done = root.post("/sites/web/prune", order)

    assert planned.status_code == done.status_code == 200
    assert planned.json == done.json == {"deleted": [3, 2], "kept": [4, 1], "freed_bytes": 8}


@pytest.mark.parametrize(
    "body",
    [{"keep": 0}, {"keep": "5"}, {"older_than_days": -1}, {"dry_run": 1}, {"force": True}],
)
def test_pruning_refuses_nonsense(inside: People, body: dict[str, object]) -> None:
    make_site(main=("one",))
    root = inside.caller("root")

    refused_call(partial(root.post, "/sites/web/prune", body), 422, "validation_failed")


def test_each_change_leaves_one_event_that_names_the_site(inside: People) -> None:
    root = inside.caller("root")
    before = len(audit_actions())

    root.post("/sites", {"slug": "web", "name": "Web"})
    root.patch("/sites/web", {"name": "New"})
    root.delete("/sites/web?confirm=web")

    assert audit_actions(before) == ["site.created", "site.updated", "site.deleted"]
    events = root.get("/audit?target=site:web").json["items"]
    assert [event["target"] for event in events] == [{"type": "site", "id": "web"}] * 3
    assert root.get("/audit/verify").json["valid"] is True


def test_a_repeated_key_makes_one_site(inside: People) -> None:
    root = inside.caller("root")
    body = {"slug": "web", "name": "Web"}

    answers = [root.post("/sites", body, Idempotency_Key="run-1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    other = root.post("/sites", {"slug": "blog", "name": "x"}, Idempotency_Key="run-1")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
