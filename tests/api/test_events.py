"""Who is told what, from where on."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from core.clock import utc_now
from models.audit import OutboxEvent
from services import sites, upkeep
from services.events import EVENTS_KEPT_DAYS
from services.transaction import transaction
from tests.api.streams import told, topics
from tests.factories import OPERATOR, make_site
from tests.people import Caller, People


@pytest.fixture
def root(inside: People) -> Caller:
    return inside.caller("root")


def test_events_are_told_with_names_and_in_order(inside: People, root: Caller) -> None:
    inside.user("ana")
    make_site("web", main=["one"], ana="owner")

    messages = told(root, "last_event_id=0&site=web")

    assert topics(messages) == [
        "site.created",
        "release.created",
        "promotion.succeeded",
        "promotion.succeeded",
    ]
    numbers = [int(message.id or "") for message in messages]
    assert numbers == sorted(numbers)
    last = messages[-2].data
    assert set(last) == {"id", "at", "action", "actor", "site", "target", "after"}
    assert (last["action"], last["site"]) == ("promotion.succeeded", "web")
    assert last["target"] == {"type": "promotion", "id": "web/2"}
    assert messages[-1].data == {"reason": "timeout"}


def test_people_are_named_and_not_numbered(inside: People, root: Caller) -> None:
    root.post("/users", {"username": "ana", "email": "ana@example.org"})

    message = told(root, "last_event_id=0&topics=user.created")[1]

    assert message.data["actor"] == "root"
    assert message.data["target"] == {"type": "user", "id": "ana"}


def test_a_stream_goes_on_behind_the_last_event(inside: People, root: Caller) -> None:
    for number in range(30):
        sites.create_site(actor=OPERATOR, slug=f"s{number}", name="x")
    everything = told(root)[1:-1]

    seen = []
    cursor = "0"
    while part := told(root, "limit=7", Last_Event_ID=cursor)[1:-1]:
        seen.extend(part)
        cursor = part[-1].id or ""

    assert [message.id for message in seen] == [message.id for message in everything]
    assert len(seen) == 30


def test_without_a_last_event_only_what_is_new_is_told(inside: People, root: Caller) -> None:
    make_site("web")

    messages = told(root, "")

    assert topics(messages) == []
    assert int(messages[0].id or "") > 0


def test_what_was_just_committed_is_told_at_once(inside: People, root: Caller) -> None:
    cursor = told(root, "")[0].id

    for number in range(5):
        make_site(f"s{number}")
        messages = told(root, f"last_event_id={cursor}")
        cursor = messages[-1].id
        assert topics(messages) == ["site.created"]


@pytest.mark.parametrize("cursor", ["999999", "0x1", "²", "-1", "abc", "9" * 30])
def test_an_unknown_cursor_is_answered_with_a_reset(
    inside: People, root: Caller, cursor: str
) -> None:
    make_site("web")

    messages = told(root, f"last_event_id={cursor}")

    assert messages[0].event == "reset"
    assert messages[0].data == {"reason": "unknown"}
    assert topics(messages) == []


def test_events_are_forgotten_and_a_cursor_before_them_is_reset(
    inside: People, root: Caller
) -> None:
    make_site("old")
    cursor = told(root, "")[0].id
    make_site("older")
    make_site("last")
    with transaction() as session:
        past = utc_now() - timedelta(days=EVENTS_KEPT_DAYS, minutes=1)
        session.execute(update(OutboxEvent).values(at=past))
    make_site("new")

    upkeep.forget()

    behind = told(root, f"last_event_id={cursor}")
    assert (behind[0].event, behind[0].data) == ("reset", {"reason": "too_old"})
    assert topics(told(root, f"last_event_id={int(behind[0].id or '') - 1}")) == ["site.created"]


def test_numbers_are_not_given_out_again(inside: People, root: Caller) -> None:
    make_site("web")
    cursor = told(root, "")[0].id or ""
    with transaction() as session:
        session.execute(update(OutboxEvent).values(at=utc_now() - timedelta(days=99)))
    upkeep.forget()

    make_site("new")

    assert topics(told(root, f"last_event_id={cursor}")) == ["site.created"]


def test_topics_and_sites_are_filters(inside: People, root: Caller) -> None:
    make_site("web", main=["one"])
    make_site("shop")

    releases = told(root, "last_event_id=0&topics=release.*,site.created&site=web")
    everything = told(root, "last_event_id=0&topics=*&site=shop")

    assert topics(releases) == ["site.created", "release.created"]
    assert topics(everything) == ["site.created"]


@pytest.mark.parametrize(
    "query",
    ["topics=Promotion.*", "topics=a", "topics=[a-z].*", "limit=0", "timeout_seconds=-1", "x=1"],
)
def test_a_bad_wish_is_refused(root: Caller, query: str) -> None:
    assert root.get(f"/events?{query}").status_code == 422


def test_other_media_types_are_not_had(root: Caller) -> None:
    assert root.get("/events?timeout_seconds=0", Accept="application/json").status_code == 406


def test_head_tells_nothing_and_waits_for_nothing(root: Caller) -> None:
    answer = root.call("HEAD", "/events")

    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")


def test_a_foreign_site_cannot_be_listened_to(inside: People) -> None:
    make_site("web")
    ana = inside.caller("ana", "member")

    assert ana.get("/events?site=web&timeout_seconds=0").status_code == 404
    assert ana.get("/events?site=nosuch&timeout_seconds=0").status_code == 404


def test_members_are_told_of_their_site_and_of_no_other(inside: People) -> None:
    ana = inside.caller("ana", "member")
    make_site("web", main=["one"], ana="reader")
    make_site("shop", main=["one"])

    sites_told = {message.data["site"] for message in told(ana)[1:-1]}

    assert sites_told == {"web"}


def test_what_is_told_follows_the_rights_of_the_moment(inside: People) -> None:
    ana = inside.caller("ana", "member")
    make_site("web", ana="reader")
    assert topics(told(ana)) == ["site.created"]

    root = inside.caller("root")
    assert root.delete("/sites/web/members/ana").status_code == 204

    assert "site.created" not in topics(told(ana))


def test_events_of_a_deleted_site_are_not_those_of_its_successor(inside: People) -> None:
    ana = inside.caller("ana", "member")
    make_site("secret")
    root = inside.caller("root")
    assert root.delete("/sites/secret?confirm=secret").status_code == 204
    make_site("web", ana="owner")

    told_to_ana = told(ana)[1:-1]

    assert [(message.event, message.data["site"]) for message in told_to_ana] == [
        ("site.created", "web")
    ]
    assert "site.deleted" in topics(told(root))


def test_people_and_their_sessions_are_for_those_who_may_read_them(inside: People) -> None:
    root = inside.caller("root")
    root.post("/users", {"username": "eve", "email": "eve@example.org"})
    role = {"name": "probe", "kind": "global", "description": "x", "permissions": ["users:read"]}
    assert root.post("/roles", role).status_code == 201
    root.post("/tokens", {"name": "probe", "scopes": ["requests:read"]})

    def seen(role: str) -> set[str | None]:
        return set(topics(told(inside.caller(f"{role}-1", role))))

    assert seen("member") == {"role.created"}
    assert seen("maintainer") == {"role.created", "user.created"}
    assert seen("auditor") >= {"role.created", "user.created", "token.created"}


def test_what_one_did_and_what_was_done_to_one_is_told(inside: People) -> None:
    ana = inside.caller("ana", "member")
    ana.post("/tokens", {"name": "mine", "scopes": ["requests:read"]})
    inside.caller("root").patch("/users/ana", {"email": "new@example.org"})

    assert topics(told(ana)) == ["token.created", "user.updated"]


def test_a_token_is_told_what_its_scopes_read(inside: People) -> None:
    make_site("web")
    make_site("shop")
    root = inside.caller("root")
    root.post("/users", {"username": "eve", "email": "eve@example.org"})
    everything = inside.token_caller("root", scopes=["sites:read"])
    one_site = inside.token_caller("root", scopes=["sites:read"], sites=["web"])
    nothing = inside.token_caller("root", scopes=["requests:read"])

    assert topics(told(everything)) == ["site.created", "site.created"]
    assert [message.data["site"] for message in told(one_site)[1:-1]] == ["web"]
    assert topics(told(nothing)) == []


def test_no_secret_is_told(inside: People) -> None:
    root = inside.caller("root")
    made = root.post("/users", {"username": "eve", "email": "eve@example.org"}).json
    token = root.post("/tokens", {"name": "probe", "scopes": ["requests:read"]}).json["token"]
    password = {"username": "ana", "email": "a@example.org", "password": "canary velvet 81 crane"}
    root.post("/users", password)

    text = root.get("/events?timeout_seconds=0&last_event_id=0").text

    assert "user.created" in text
    secrets = [token, made["invitation_url"].rpartition("=")[2], "canary velvet", "argon2"]
    assert [secret for secret in secrets if secret in text] == []


def test_requests_are_told_to_those_who_see_them(inside: People) -> None:
    make_site("web", main=["one"])
    ana, eve = inside.caller("ana", "member"), inside.caller("eve", "member")
    filed = ana.post("/requests", {"type": "general", "title": "Menu"})
    assert filed.status_code == 201
    number = filed.json["number"]
    comment = {"body": "Which one?"}
    root = inside.caller("root")
    assert root.post(f"/requests/{number}/comments", comment).status_code == 201

    told_to_ana = [event for event in topics(told(ana)) if event and event.startswith("request.")]

    assert len(told_to_ana) > 1
    assert topics(told(eve)) == []
    assert set(told_to_ana) <= set(topics(told(root)))


def test_an_empty_outbox_has_nothing_to_tell(inside: People, root: Caller) -> None:
    with transaction() as session:
        session.execute(delete(OutboxEvent))

    assert topics(told(root)) == []
