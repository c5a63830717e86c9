"""Webhooks over HTTP: who may have them, what they show, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services import webhook_pump
from tests.factories import audit_actions, last_event
from tests.outgoing.receivers import Receiver, receiving
from tests.outgoing.test_guard import LISTED
from tests.people import Caller, People
from tests.working import work_off

NOWHERE = "https://hooks.example/relevo"
ORDER = {"site": "web", "url": NOWHERE, "topics": ["promotion.*", "release.created"]}


@pytest.fixture
def town(people: People) -> People:
    """The sites web and shop; ana owns web, ben reads it."""
    settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, webhook_allowed_cidrs=LISTED)
    people.user("ana")
    people.user("ben")
    people.site("web", ana="owner", ben="reader")
    people.site("shop")
    return people


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def make(caller: Caller, **order: object) -> dict[str, str]:
    """Make a webhook and return it."""
    answer = caller.post("/webhooks", {**ORDER, **order})
    assert answer.status_code == 201, answer.json
    made: dict[str, str] = answer.json
    return made


def test_an_owner_makes_a_webhook_and_sees_its_secret_once(ana: Caller) -> None:
    answer = ana.post("/webhooks", ORDER)

    made = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/webhooks/{made['id']}")
    assert made["secret"].startswith("whsec_")
    assert (made["site"], made["url"], made["topics"], made["is_active"], made["created_by"]) == (
        "web",
        NOWHERE,
        ["promotion.*", "release.created"],
        True,
        "ana",
    )
    assert made["target"] == {
        "name": "hooks.example:443",
        "state": "closed",
        "failures": 0,
        "retry_at": None,
    }
    assert "secret" not in ana.get(f"/webhooks/{made['id']}").json
    assert "whsec_" not in ana.get("/webhooks").text


def test_the_audit_trail_names_the_host_and_not_the_address(ana: Caller, town: People) -> None:
    make(ana, url="https://hooks.example/secret-path")

    with town.app.app_context():
        event = last_event()

    assert event.action == "webhook.created"
    assert event.after == {
        "target": "hooks.example:443",
        "topics": ["promotion.*", "release.created"],
        "is_active": True,
    }


@pytest.mark.parametrize("name", ["ben", "eve", "shop-owner"])
def test_nobody_else_knows_of_a_webhook(town: People, ana: Caller, name: str) -> None:
    path = f"/webhooks/{make(ana)['id']}"
    if name != "ben":
        town.user(name)
    if name == "shop-owner":
        town.members("shop", **{name: "owner"})
    other = town.caller(name)

    assert other.get("/webhooks").json["items"] == []
    assert [
        other.get(path).status_code,
        other.get(f"{path}/deliveries").status_code,
        other.patch(path, {"is_active": False}).status_code,
        other.post(f"{path}/test").status_code,
        other.post(f"{path}/rotate").status_code,
        other.delete(path).status_code,
    ] == [404] * 6


def test_making_one_needs_the_right_on_the_site(town: People, ana: Caller) -> None:
    reader = town.caller("ben").post("/webhooks", ORDER)
    elsewhere = ana.post("/webhooks", {**ORDER, "site": "shop"})
    everywhere = ana.post("/webhooks", {"url": NOWHERE, "topics": ["*"]})

    assert (reader.status_code, reader.json["missing"]) == (403, ["webhooks:write"])
    assert (elsewhere.status_code, elsewhere.json["errors"][0]["pointer"]) == (422, "/site")
    assert (everywhere.status_code, everywhere.json["code"]) == (403, "scope_missing")


def test_a_token_of_one_site_reaches_the_webhooks_of_that_site_only(
    town: People, ana: Caller
) -> None:
    mine = make(ana)
    root = town.caller("root")
    make(root, site="shop")
    root.post("/webhooks", {"url": NOWHERE, "topics": ["*"]})
    token = town.token_caller("root", scopes=["sites:read", "webhooks:write"], sites=["web"])

    assert [item["id"] for item in token.get("/webhooks").json["items"]] == [mine["id"]]
    assert token.post("/webhooks", {"url": NOWHERE, "topics": ["*"]}).status_code == 403
    assert len(root.get("/webhooks").json["items"]) == 3
    assert len(root.get("/webhooks?site=shop").json["items"]) == 1


def test_a_webhook_stays_when_its_maker_leaves(town: People, ana: Caller) -> None:
    path = f"/webhooks/{make(ana)['id']}"
    root = town.caller("root")

    root.delete("/sites/web/members/ana")

    assert ana.get(path).status_code == 404
    assert root.get(path).json["created_by"] == "ana"


def test_events_of_people_are_for_readers_of_the_audit_trail(town: People, ana: Caller) -> None:
    maintainer, root = town.caller("max", "maintainer"), town.caller("root")
    order = {"url": NOWHERE, "topics": ["user.*"]}

    assert ana.post("/webhooks", {**ORDER, "topics": ["user.*"]}).status_code == 422
    assert maintainer.post("/webhooks", order).status_code == 403
    made = root.post("/webhooks", order).json
    stolen = maintainer.patch(f"/webhooks/{made['id']}", {"url": "https://other.example/"})
    assert stolen.status_code == 403


@pytest.mark.parametrize(
    "topics", [[], ["nothing.*"], ["promotion"], ["promotion."], ["*.created"], ["promotion.*x"]]
)
def test_unknown_topics_are_refused(ana: Caller, topics: list[str]) -> None:
    answer = ana.post("/webhooks", {**ORDER, "topics": topics})

    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"].startswith("/topics")


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[::1]", "2130706433", "[::ffff:10.0.0.1]", "0x7f.1"]
)
def test_a_host_that_is_not_public_is_refused(ana: Caller, host: str) -> None:
    made = make(ana)

    new = ana.post("/webhooks", {**ORDER, "url": f"http://{host}/"})
    changed = ana.patch(f"/webhooks/{made['id']}", {"url": f"http://{host}/"})

    for answer in (new, changed):
        assert (answer.status_code, answer.json["code"]) == (422, "host_refused")
        assert answer.json["errors"][0]["pointer"] == "/url"
        assert host not in answer.text


def test_the_server_itself_is_refused_even_in_a_listed_network(ana: Caller) -> None:
    for port in (8000, 8080):
        answer = ana.post("/webhooks", {**ORDER, "url": f"http://127.0.0.1:{port}/"})

        assert (answer.status_code, answer.json["code"]) == (422, "host_refused")


@pytest.mark.parametrize("url", ["ftp://hooks.example/", "https://user:pw@hooks.example/", "x"])
def test_what_is_no_address_is_refused(ana: Caller, url: str) -> None:
    answer = ana.post("/webhooks", {**ORDER, "url": url})

    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")


def test_a_change_needs_the_present_version(ana: Caller) -> None:
    path = f"/webhooks/{make(ana)['id']}"
    tag = ana.get(path).headers["ETag"]

    first = ana.patch(path, {"topics": ["*"]}, If_Match=tag)
    second = ana.patch(path, {"description": "late"}, If_Match=tag)

    assert (first.status_code, first.json["topics"]) == (200, ["*"])
    assert second.status_code == 412


def test_a_site_has_at_most_fifty_webhooks(ana: Caller) -> None:
    for _ in range(50):
        make(ana)

    answer = ana.post("/webhooks", ORDER)

    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_many")


def test_a_test_event_is_sent_and_logged(town: People, ana: Caller, receiver: Receiver) -> None:
    receiver.answers, receiver.body = [200], b"hello"
    path = f"/webhooks/{make(ana, url=receiver.url, is_active=False)['id']}"

    answer = ana.post(f"{path}/test")
    with town.app.app_context():
        work_off()

    assert answer.status_code == 202
    delivery = ana.get(answer.headers["Location"].removeprefix("/api/v1")).json
    assert (delivery["type"], delivery["state"], delivery["due_at"]) == (
        "webhook.test",
        "succeeded",
        None,
    )
    (attempt,) = delivery["attempts"]
    assert (attempt["status"], attempt["error"], attempt["answer"]) == (200, None, "hello")
    assert ana.get(f"{path}/deliveries").json["items"] == [delivery]


def test_a_failed_test_event_is_not_tried_again(
    town: People, ana: Caller, receiver: Receiver
) -> None:
    receiver.answers = [500]
    path = f"/webhooks/{make(ana, url=receiver.url)['id']}"
    ana.post(f"{path}/test")
    with town.app.app_context():
        work_off()

    assert ana.get(f"{path}/deliveries").json["items"][0]["state"] == "failed"
    assert ana.get(path).json["failing_since"] is None


def test_a_delivery_is_sent_once_more_with_the_same_id(
    town: People, ana: Caller, receiver: Receiver
) -> None:
    path = f"/webhooks/{make(ana, url=receiver.url, topics=['site.*'])['id']}"
    ana.patch("/sites/web", {"name": "Web"})
    with town.app.app_context():
        webhook_pump.pump()
        work_off()
    (delivery,) = ana.get(f"{path}/deliveries").json["items"]

    answer = ana.post(f"{path}/redeliver", {"delivery": delivery["id"]})
    with town.app.app_context():
        work_off()
        actions = audit_actions()

    assert (answer.status_code, answer.json["state"]) == (202, "pending")
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert len(receiver.calls) == 2
    assert actions[-1] == "webhook.redelivered"


def test_nothing_is_sent_once_more_to_a_webhook_that_is_off(
    town: People, ana: Caller, receiver: Receiver
) -> None:
    path = f"/webhooks/{make(ana, url=receiver.url, topics=['site.*'])['id']}"
    ana.patch("/sites/web", {"name": "Web"})
    with town.app.app_context():
        webhook_pump.pump()
    (delivery,) = ana.get(f"{path}/deliveries").json["items"]
    ana.patch(path, {"is_active": False})

    off = ana.post(f"{path}/redeliver", {"delivery": delivery["id"]})
    unknown = ana.post(f"{path}/redeliver", {"delivery": "unknown"})

    assert (off.status_code, off.json["code"]) == (409, "webhook_inactive")
    assert unknown.status_code == 404


def test_the_log_goes_on_from_a_cursor(town: People, ana: Caller, receiver: Receiver) -> None:
    path = f"/webhooks/{make(ana, url=receiver.url, topics=['site.*'])['id']}"
    for name in ("one", "two", "three"):
        ana.patch("/sites/web", {"name": name})
    with town.app.app_context():
        webhook_pump.pump()

    first = ana.get(f"{path}/deliveries?per_page=2").json
    second = ana.get(f"{path}/deliveries?per_page=2&cursor={first['meta']['next_cursor']}").json

    assert (len(first["items"]), len(second["items"])) == (2, 1)
    assert second["meta"]["next_cursor"] is None
    assert ana.get(f"{path}/deliveries?state=succeeded").json["items"] == []


def test_a_new_secret_is_shown_once_and_the_old_one_goes_on_for_a_while(ana: Caller) -> None:
    made = make(ana)
    path = f"/webhooks/{made['id']}"

    rotated = ana.post(f"{path}/rotate", {"overlap_minutes": 5})
    at_once = ana.post(f"{path}/rotate", {"overlap_minutes": 0})

    assert rotated.json["secret"] != made["secret"]
    assert rotated.json["old_secret_until"] is not None
    assert at_once.json["old_secret_until"] is None
    assert ana.post(f"{path}/rotate", {"overlap_minutes": 99999}).status_code == 422


def test_a_second_rotation_does_not_cut_off_who_has_the_first_secret(ana: Caller) -> None:
    path = f"/webhooks/{make(ana)['id']}/rotate"
    first = ana.post(path, {"overlap_minutes": 60})

    again = ana.post(path, {"overlap_minutes": 60})

    assert (again.status_code, again.json["code"]) == (409, "invalid_transition")
    assert again.json["old_secret_until"] == first.json["old_secret_until"]
    assert ana.post(path, {"overlap_minutes": 0}).status_code == 200
    assert ana.post(path, {"overlap_minutes": 60}).status_code == 200


def test_a_deleted_webhook_takes_its_log_with_it(
    town: People, ana: Caller, receiver: Receiver
) -> None:
    path = f"/webhooks/{make(ana, url=receiver.url)['id']}"
    ana.post(f"{path}/test")

    assert ana.delete(path).status_code == 204
    with town.app.app_context():
        work_off()

    assert ana.get(path).status_code == 404
    assert receiver.calls == []
