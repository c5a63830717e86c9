"""Lists: bounded, ordered, searchable, linked, and whole as CSV."""

import csv
import io

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.platform.applications import make_app, sign_in
from tests.api.platform.conftest import Caller
from tests.api.platform.probe import make_thing

THINGS = "/api/v1/probe/things"
HISTORY = "/api/v1/probe/history"
COUNT = 45


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Caller:
    app: Flask = make_app(tmp_path_factory.mktemp("lists"))
    token = sign_in(app)
    with app.app_context():
        for number in range(COUNT):
            make_thing(f"thing-{number:02}", "=1+1" if number == 0 else f"Thing 100% no {number}")
    return Caller(app.test_client(), token)


def get(caller: Caller, path: str, **headers: str) -> TestResponse:
    return caller.client.get(path, headers={**caller.headers, **headers})


def test_a_page_tells_where_it_is(filled: Caller) -> None:
    document = get(filled, f"{THINGS}?page=2&per_page=20&sort=slug").get_json()

    assert document["meta"] == {"page": 2, "per_page": 20, "total": COUNT, "next": 3}
    assert document["items"][0]["slug"] == "thing-20"


def test_the_last_page_has_no_next(filled: Caller) -> None:
    document = get(filled, f"{THINGS}?page=3&per_page=20").get_json()

    assert document["meta"]["next"] is None
    assert len(document["items"]) == 5


def test_the_newest_come_first(filled: Caller) -> None:
    assert get(filled, THINGS).get_json()["items"][0]["slug"] == f"thing-{COUNT - 1}"


def test_links_lead_to_all_pages_and_keep_the_filters(filled: Caller) -> None:
    links = get(filled, f"{THINGS}?page=2&per_page=20&q=thing").headers["Link"]

    assert 'rel="first"' in links
    assert 'rel="last"' in links
    assert f'<{THINGS}?per_page=20&q=thing&page=1>; rel="prev"' in links
    assert f'<{THINGS}?per_page=20&q=thing&page=3>; rel="next"' in links


def test_no_row_is_shown_twice_or_missed(filled: Caller) -> None:
    pages = [get(filled, f"{THINGS}?page={page}&per_page=7").get_json() for page in range(1, 8)]

    slugs = [item["slug"] for page in pages for item in page["items"]]
    assert len(slugs) == len(set(slugs)) == COUNT


@pytest.mark.parametrize(
    "query",
    [
        "per_page=101",
        "per_page=0",
        "page=0",
        "page=-1",
        "page=1000000000000",
        "page=1_0",
        "page=%20%D9%A1",
        "page=one",
        "sort=password_hash",
        "sort=slug;drop",
        "sort=slug,-slug",
        "sort=",
        "colour=red",
        "page=1&page=2",
        "q=a%00b",
        "state=medium",
    ],
)
def test_unknown_and_impossible_parameters_are_refused(filled: Caller, query: str) -> None:
    answer = get(filled, f"{THINGS}?{query}")

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"].startswith("?")


def test_lists_are_given_by_repetition_or_commas(filled: Caller) -> None:
    assert get(filled, f"{THINGS}?state=new&state=old").status_code == 200
    assert get(filled, f"{THINGS}?state=new,old").status_code == 200


@pytest.mark.parametrize(("words", "found"), [("no 44", 1), ("%25", 44), ("_", 0), ("THING", 44)])
def test_search_takes_wildcards_literally(filled: Caller, words: str, found: int) -> None:
    assert get(filled, f"{THINGS}?q={words}").get_json()["meta"]["total"] == found


def test_a_history_is_followed_by_its_cursor(filled: Caller) -> None:
    slugs: list[str] = []
    path: str | None = f"{HISTORY}?per_page=10"
    while path:
        document = get(filled, path).get_json()
        slugs += [item["slug"] for item in document["items"]]
        cursor = document["meta"]["next_cursor"]
        path = f"{HISTORY}?per_page=10&cursor={cursor}" if cursor else None

    assert slugs == [f"thing-{number:02}" for number in reversed(range(COUNT))]


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 40, "%D9%A1", "1.0"])
def test_a_foreign_cursor_is_refused(filled: Caller, cursor: str) -> None:
    assert get(filled, f"{HISTORY}?cursor={cursor}").status_code == 422


@pytest.mark.parametrize("path", [f"{THINGS}?per_page=2&page=3", f"{HISTORY}?per_page=2"])
def test_csv_holds_all_rows_and_no_formulas(filled: Caller, path: str) -> None:
    answer = get(filled, path, Accept="text/csv")

    rows = list(csv.reader(io.StringIO(answer.get_data(as_text=True))))
    assert answer.mimetype == "text/csv"
    assert rows[0] == ["slug", "name"]
    assert len(rows) == COUNT + 1
    assert ["thing-00", "'=1+1"] in rows


def test_json_wins_where_both_are_welcome(filled: Caller) -> None:
    assert get(filled, THINGS, Accept="*/*").is_json
    assert get(filled, THINGS, Accept="text/html, application/json;q=0.1").is_json
    assert get(filled, THINGS, Accept="text/csv;q=0.1, application/json").is_json


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8;q=0.8, text/html",
        "application/json;q=.5",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "*",
    ],
)
def test_common_ways_of_asking_for_json_are_understood(filled: Caller, accept: str) -> None:
    answer = get(filled, THINGS, Accept=accept)
    assert answer.status_code == 200
    assert answer.is_json


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json;q=0",
        "application/json;charset=utf-8;q=0.0",
        "application/xml",
        "image/*;q=.2",
    ],
)
def test_what_cannot_be_given_is_not_acceptable(filled: Caller, accept: str) -> None:
    assert get(filled, THINGS, Accept=accept).status_code == 406


def test_head_answers_like_get_without_a_body(filled: Caller) -> None:
    answer = filled.client.head(THINGS, headers=filled.headers)

    assert answer.status_code == 200
    assert "Link" in answer.headers
    assert answer.get_data() == b""
