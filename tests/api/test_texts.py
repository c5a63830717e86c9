"""Texts of people: nothing in them does anything to the terminal or the mail of a reader."""

import pytest

from models.engine import db
from models.requests import ChangeRequest
from services.transaction import transaction
from tests.api.refusals import pointers, refused_call
from tests.cli.commands import Relevo
from tests.factories import make_site
from tests.people import People

ESCAPE, BELL, TURNED = "\x1b]0;owned\x07", "\x07", "\u202e"
NOT_ON_A_LINE = ["two\nlines", "back\rhere", "tab\there", ESCAPE, BELL, "\x9b31m", TURNED, "\u2066"]
NOT_IN_A_BODY = ["back\rhere", ESCAPE, BELL, "\x9b31m", TURNED, "\u2066"]
REQUEST: dict[str, object] = {"type": "general", "title": "Easter", "body": "So"}
LINES: dict[str, tuple[dict[str, object], str]] = {
    "/requests": (REQUEST, "title"),
    "/tags": ({"name": "urgent", "description": "At once"}, "description"),
    "/sites": ({"slug": "shop", "name": "Shop"}, "name"),
    "/roles": ({"name": "press", "kind": "site", "description": "Press"}, "description"),
    "/tokens": ({"name": "CI", "scopes": ["sites:read"]}, "name"),
}


@pytest.mark.parametrize("path", LINES)
@pytest.mark.parametrize("text", NOT_ON_A_LINE)
def test_a_line_of_a_person_is_one_line(inside: People, path: str, text: str) -> None:
    root = inside.caller("root")
    body, name = LINES[path]

    document = refused_call(lambda: root.post(path, {**body, name: text}), 422, "validation_failed")

    assert pointers(document) == [f"/{name}"]


@pytest.mark.parametrize("text", NOT_IN_A_BODY)
def test_a_body_holds_line_feeds_and_tabs_alone(inside: People, text: str) -> None:
    root = inside.caller("root")
    number = root.post("/requests", REQUEST).json["number"]

    filed = refused_call(
        lambda: root.post("/requests", {**REQUEST, "body": text}), 422, "validation_failed"
    )
    said = refused_call(
        lambda: root.post(f"/requests/{number}/comments", {"body": text}), 422, "validation_failed"
    )

    assert pointers(filed) == pointers(said) == ["/body"]


def test_lines_of_a_body_end_the_same_way_wherever_they_were_written(inside: People) -> None:
    root = inside.caller("root")

    filed = root.post("/requests", {**REQUEST, "body": "one\r\n\ttwo\nthree"})

    assert filed.json["body"] == "one\n\ttwo\nthree"


def test_words_of_every_script_are_welcome(inside: People) -> None:
    root = inside.caller("root")

    title = "\u200f\u05e9\u05dc\u05d5\u05dd \u200e- سلام - Žluťoučký 🐎"
    filed = root.post("/requests", {**REQUEST, "title": title})

    assert filed.status_code == 201


def test_a_name_does_not_end_with_a_line_feed(inside: People) -> None:
    root = inside.caller("root")

    for path, body in (
        ("/tags", {"name": "urgent\n"}),
        ("/tags", {"name": "urgent", "colour": "#ffffff\n"}),
        ("/users", {"username": "ana\n", "email": "ana@example.org"}),
    ):
        assert root.post(path, body).status_code == 422, body


def test_the_command_line_writes_what_is_stored_so_that_it_does_nothing(inside: People) -> None:
    make_site()
    number = inside.caller("root").post("/requests", {**REQUEST, "site": "web"}).json["number"]
    with transaction():
        db.session.get_one(ChangeRequest, number).title = f"{ESCAPE}\r\n{TURNED}\x9b31m"

    relevo = Relevo(inside.app)
    printed = [
        relevo("requests", "list").stdout,
        relevo("requests", "show", str(number)).stdout,
    ]
    document = relevo("requests", "show", str(number), "--json").stdout

    for text in (*printed, document):
        assert not {"\x1b", "\x07", "\r", "\x9b", TURNED} & set(text)
    assert "\\x1b]0;owned\\x07\\r\\n\\u202e\\x9b31m" in printed[0]
    assert relevo.document("requests", "show", str(number))["title"].startswith(ESCAPE)
