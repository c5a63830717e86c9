"""Comments, tags, assignees, timeline, reviews, inbox and figures of requests over HTTP."""

import csv
import io
from functools import partial

import pytest

from services import request_clock
from tests.api.refusals import pointers, refused_call
from tests.factories import make_site, upload
from tests.people import Caller, People

PROMOTION = {"type": "promotion", "title": "Easter", "site": "web", "payload": {}}
ONE = "/requests/1"


@pytest.fixture
def town(inside: People) -> People:
    """Request 1 of ana (deployer) waits for one of rita and rolf (reviewers)."""
    for name in ("ana", "rita", "rolf"):
        inside.user(name)
    make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer")
    upload("two")
    policy = {"type": "promotion", "required_approvals": 1}
    inside.caller("root").post("/approval-policies", policy)
    assert inside.caller("ana").post("/requests", PROMOTION).json["number"] == 1
    return inside


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


@pytest.fixture
def rita(town: People) -> Caller:
    return town.caller("rita")


def test_a_comment_keeps_its_earlier_wordings(ana: Caller, rita: Caller) -> None:
    made = ana.post(f"{ONE}/comments", {"body": "first"})
    path = f"{ONE}/comments/{made.json['id']}"

    changed = ana.patch(path, {"body": "second"})

    assert (made.status_code, made.headers["Location"]) == (201, f"/api/v1{path}")
    assert (changed.json["author"], changed.json["body"]) == ("ana", "second")
    assert [wording["body"] for wording in rita.get(path).json["history"]] == ["first"]
    refused_call(partial(rita.patch, path, {"body": "third"}), 403, "scope_missing")


def test_a_comment_that_stays_the_same_has_no_history(ana: Caller) -> None:
    made = ana.post(f"{ONE}/comments", {"body": "first"}).json

    same = ana.patch(f"{ONE}/comments/{made['id']}", {"body": "first"})

    assert (same.status_code, same.json["history"]) == (200, [])
    kinds = [event["kind"] for event in ana.get(f"{ONE}/timeline").json["items"]]
    assert "comment_edited" not in kinds


def test_an_approval_of_somebody_who_may_not_any_more_is_not_counted(
    town: People, ana: Caller, rita: Caller
) -> None:
    root = town.caller("root")
    (policy,) = root.get("/approval-policies").json["items"]
    root.patch(f"/approval-policies/{policy['id']}", {"required_approvals": 2})
    for _ in range(2):  # the first one sees that the policy has changed
        rita.post(f"{ONE}/approve")
    before = ana.get(ONE).json["approvals"], ana.get(f"{ONE}/reviews").json["items"][0]["counts"]

    root.put("/sites/web/members/rita", {"role": "reader"})

    (review,) = ana.get(f"{ONE}/reviews").json["items"]
    assert before == (1, True)
    assert (ana.get(ONE).json["approvals"], review["counts"]) == (0, False)
    assert [row["approvals"] for row in ana.get("/requests").json["items"]] == [0]


def test_what_was_used_is_shown_as_it_was(town: People, ana: Caller, rita: Caller) -> None:
    rita.post(f"{ONE}/approve")

    town.caller("root").put("/sites/web/members/rita", {"role": "reader"})

    shown = ana.get(ONE).json
    assert (shown["state"], shown["approvals"]) == ("completed", 1)


def test_a_draft_is_private_until_it_is_submitted(town: People, ana: Caller, rita: Caller) -> None:
    number = ana.post("/requests", {**PROMOTION, "draft": True}).json["number"]
    path = f"/requests/{number}"

    assert (rita.get(path).status_code, town.caller("root").get(path).status_code) == (404, 200)
    assert [row["number"] for row in rita.get("/requests").json["items"]] == [1]
    ana.post(f"{path}/submit")
    assert rita.get(path).status_code == 200
    ana.post(f"{path}/revise")
    assert rita.get(path).json["state"] == "draft"


def test_what_keeps_a_request_waiting_is_shown_while_it_waits(
    town: People, ana: Caller, rita: Caller
) -> None:
    root = town.caller("root")
    root.put("/sites/web/environments/main/lock", {"reason": "fair"})
    waiting = rita.post(f"{ONE}/approve").json
    root.delete("/sites/web/environments/main/lock")
    root.put("/sites/web/members/rita", {"role": "reader"})

    request_clock.tick()

    shown = ana.get(ONE).json
    assert waiting["waits_for"] == "environment_locked"
    assert (shown["state"], shown["waits_for"]) == ("stale", None)


def test_the_timeline_tells_everything_newest_first(ana: Caller, rita: Caller) -> None:
    ana.post(f"{ONE}/comments", {"body": "please"})
    rita.post(f"{ONE}/request-info", {"comment": "why?"})
    ana.post(f"{ONE}/answer", {"comment": "because"})
    rita.post(f"{ONE}/approve", {"comment": "good"})

    first = ana.get(f"{ONE}/timeline?per_page=6").json
    rest = ana.get(f"{ONE}/timeline?cursor={first['meta']['next_cursor']}").json

    kinds = [event["kind"] for event in [*first["items"], *rest["items"]]]
    assert kinds[::-1] == [
        "created", "submitted", "commented", "info_requested", "commented", "answered",
        "commented", "approved", "executing", "completed",
    ]  # fmt: skip
    words = [event["comment"] for event in first["items"] + rest["items"] if event["comment"]]
    assert words == ["because", "why?", "please"]
    assert first["items"][0]["via"] == "system"
    (review,) = ana.get(f"{ONE}/reviews").json["items"]
    assert (review["reviewer"], review["verdict"]) == ("rita", "approve")


def test_tags_are_known_words_and_one_of_each_scope(
    town: People, ana: Caller, rita: Caller
) -> None:
    for name in ("size/small", "size/large", "legal"):
        assert rita.post("/tags", {"name": name}).status_code == 201

    unknown = partial(ana.put, f"{ONE}/tags", {"tags": ["legal", "nothing"]})
    both = partial(ana.put, f"{ONE}/tags", {"tags": ["size/small", "size/large"]})
    tagged = ana.put(f"{ONE}/tags", {"tags": ["size/small", "legal"]})

    assert pointers(refused_call(unknown, 422, "validation_failed")) == ["/tags/1"]
    assert pointers(refused_call(both, 422, "validation_failed")) == ["/tags/1"]
    assert tagged.json["tags"] == ["legal", "size/small"]
    assert [row["number"] for row in ana.get("/requests?tag=size/small").json["items"]] == [1]
    refused_call(partial(rita.delete, "/tags/size/small"), 403, "scope_missing")
    assert town.caller("root").delete("/tags/size/small").status_code == 204
    assert ana.get(ONE).json["tags"] == ["legal"]


@pytest.mark.parametrize(
    "name", ["Big", "a//b", "a/b/c", "-a", "", "x" * 40, "a/.", "a/..", "a/..."]
)
def test_what_is_no_tag(rita: Caller, name: str) -> None:
    document = refused_call(partial(rita.post, "/tags", {"name": name}), 422, "validation_failed")

    assert pointers(document) == ["/name"]


def test_a_tag_is_there_once_and_changed_with_care(town: People, rita: Caller, ana: Caller) -> None:
    root = town.caller("root")
    rita.post("/tags", {"name": "legal"})

    refused_call(partial(rita.post, "/tags", {"name": "legal"}), 409, "already_exists")
    refused_call(partial(ana.post, "/tags", {"name": "other"}), 403, "scope_missing")
    change = {"colour": "#d73a4a"}
    refused_call(partial(rita.patch, "/tags/legal", change), 403, "scope_missing")
    assert root.patch("/tags/legal", change).json["colour"] == "#d73a4a"
    assert root.patch("/tags/legal", {}, If_Match='"old"').status_code == 412


def test_a_tag_gets_another_name_and_requests_keep_it(
    town: People, ana: Caller, rita: Caller
) -> None:
    root = town.caller("root")
    for name in ("size/large", "small", "legal"):
        rita.post("/tags", {"name": name})
    ana.put(f"{ONE}/tags", {"tags": ["size/large", "small", "legal"]})

    taken = partial(root.patch, "/tags/small", {"name": "legal"})
    second = partial(root.patch, "/tags/small", {"name": "size/small"})

    refused_call(taken, 409, "already_exists")
    assert pointers(refused_call(second, 422, "validation_failed")) == ["/name"]
    renamed = root.patch("/tags/small", {"name": "tiny"})
    assert (renamed.status_code, renamed.json["name"]) == (200, "tiny")
    assert ana.get(ONE).json["tags"] == ["legal", "size/large", "tiny"]
    assert root.get("/tags/small").status_code == 404


def test_a_token_of_one_site_changes_no_tags_of_all(town: People) -> None:
    root = town.caller("root")
    root.post("/tags", {"name": "legal"})
    scopes = ["requests:read", "requests:review"]
    token = town.token_caller("root", scopes=scopes, sites=["web"])

    refused_call(partial(token.delete, "/tags/legal"), 403, "scope_missing")


def test_where_to_is_changed_in_a_draft_only(ana: Caller, rita: Caller) -> None:
    upload("three")
    refused_call(partial(ana.patch, ONE, {"environment": "test"}), 409, "invalid_transition")
    refused_call(partial(rita.patch, ONE, {"title": "Mine"}), 403, "scope_missing")
    titled = ana.patch(ONE, {"title": "Whitsun", "priority": "high"}).json
    ana.post(f"{ONE}/revise")

    wrong = refused_call(partial(ana.patch, ONE, {"payload": {"x": 1}}), 422, "validation_failed")
    changed = ana.patch(ONE, {"payload": {"release": 3}}).json
    again = ana.post(f"{ONE}/submit").json

    assert (titled["title"], titled["priority"], titled["revision"]) == ("Whitsun", "high", 1)
    assert pointers(wrong) == ["/payload/x"]
    assert (changed["payload"]["release"], changed["revision"]) == (3, 2)
    assert again["fingerprint"] != titled["fingerprint"]


def test_votes_on_an_earlier_revision_do_not_count(town: People, ana: Caller) -> None:
    policy = town.caller("root").get("/approval-policies").json["items"][0]
    town.caller("root").patch(f"/approval-policies/{policy['id']}", {"required_approvals": 2})
    rita, rolf = town.caller("rita"), town.caller("rolf")
    stale = rita.post(f"{ONE}/approve").json
    rita.post(f"{ONE}/approve")
    ana.post(f"{ONE}/revise", {"comment": "typo"})
    ana.post(f"{ONE}/submit")

    voted = rolf.post(f"{ONE}/approve").json

    assert (stale["code"], stale["changed"][0]["field"]) == ("approval_stale", "policy")
    assert (voted["state"], voted["approvals"], voted["revision"]) == ("pending", 1, 3)


def test_a_vote_can_be_bound_to_what_was_looked_at(ana: Caller, rita: Caller) -> None:
    call = partial(rita.post, f"{ONE}/approve", {"fingerprint": "0" * 64})

    refused_call(call, 409, "approval_stale")
    seen = rita.get(ONE).json["fingerprint"]
    assert rita.post(f"{ONE}/approve", {"fingerprint": seen}).json["state"] == "completed"


def test_the_inbox_holds_what_waits_for_me_alone(town: People, ana: Caller, rita: Caller) -> None:
    def numbers(caller: Caller) -> list[int]:
        return [row["number"] for row in caller.get("/requests/inbox").json["items"]]

    before = (numbers(ana), numbers(rita), numbers(town.caller("rolf")))
    rita.post(f"{ONE}/request-info", {"comment": "why?"})
    asked = (numbers(ana), numbers(rita))
    ana.put(f"{ONE}/assignees", {"assignees": ["rolf"]})

    assert before == ([], [1], [1])
    assert asked == ([1], [])
    assert numbers(town.caller("rolf")) == [1]


def test_figures_tell_how_fast_requests_are_answered(ana: Caller, rita: Caller) -> None:
    rita.post(f"{ONE}/approve")
    ana.post("/requests", PROMOTION)
    rita.post("/requests/2/reject", {"reason": "live already"})

    stats = ana.get("/requests/stats?site=web").json
    table = ana.get("/requests/stats", Accept="text/csv")

    assert (stats["total"], stats["by_state"]) == (2, {"completed": 1, "rejected": 1})
    assert [stats[name]["count"] for name in ("first_response", "decision", "completion")] == [
        2, 2, 1,
    ]  # fmt: skip
    assert stats["decision"]["median_seconds"] <= stats["decision"]["p90_seconds"] < 60
    assert stats["breaches"] == {"response": 0, "decision": 0, "share": 0.0}
    assert stats["reviewers"] == [
        {"reviewer": "rita", "approvals": 1, "rejections": 1, "overrides": 0}
    ]
    (row,) = list(csv.DictReader(io.StringIO(table.text)))
    assert row["total"] == "2"


def test_requests_are_exported_as_csv(ana: Caller) -> None:
    answer = ana.get("/requests", Accept="text/csv")

    (row,) = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["number"], row["state"], row["requester"]) == ("1", "pending", "ana")
