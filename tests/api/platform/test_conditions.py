"""ETags: what was read is what is changed, and of two changes one gets through."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.api.platform.applications import Server
from tests.api.platform.conftest import Caller

THINGS = "/api/v1/probe/things"


@pytest.fixture
def thing(caller: Caller) -> str:
    made = caller.client.post(THINGS, headers=caller.headers, json={"name": "cond"})
    return f"{THINGS}/{made.get_json()['slug']}"


def tag(caller: Caller, path: str) -> str:
    return caller.client.get(path, headers=caller.headers).headers["ETag"]


def patch(caller: Caller, path: str, **headers: str) -> int:
    answer = caller.client.patch(
        path, headers={**caller.headers, **headers}, json={"name": "changed"}
    )
    return answer.status_code


def test_an_item_carries_a_strong_tag_for_its_reader_alone(caller: Caller, thing: str) -> None:
    answer = caller.client.get(thing, headers=caller.headers)

    assert answer.headers["ETag"].startswith('"')
    assert "Authorization" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
@pytest.mark.parametrize("which", ["item", "list"])
def test_who_has_it_already_gets_304(caller: Caller, thing: str, which: str, form: str) -> None:
    path = thing if which == "item" else THINGS
    headers = {**caller.headers, "If-None-Match": form.format(tag=tag(caller, path))}

    answer = caller.client.get(path, headers=headers)

    assert answer.status_code == 304
    assert answer.get_data() == b""
    assert "ETag" in answer.headers


def test_a_change_must_say_what_it_is_meant_for(caller: Caller, thing: str) -> None:
    assert patch(caller, thing) == 428


def test_a_change_of_the_read_version_gets_a_new_tag(caller: Caller, thing: str) -> None:
    before = tag(caller, thing)

    answer = caller.client.patch(
        thing, headers={**caller.headers, "If-Match": before}, json={"name": "changed"}
    )

    assert answer.status_code == 200
    assert answer.headers["ETag"] == tag(caller, thing) != before


def test_a_change_of_a_stale_version_is_refused(caller: Caller, thing: str) -> None:
    before = tag(caller, thing)
    patch(caller, thing, **{"If-Match": before})

    assert patch(caller, thing, **{"If-Match": before}) == 412


def test_a_weak_tag_never_matches_a_change(caller: Caller, thing: str) -> None:
    assert patch(caller, thing, **{"If-Match": f"W/{tag(caller, thing)}"}) == 412


def test_a_star_overwrites_whatever_is_there(caller: Caller, thing: str) -> None:
    assert patch(caller, thing, **{"If-Match": "*"}) == 200


def test_a_bad_body_is_refused_before_the_missing_condition(caller: Caller, thing: str) -> None:
    answer = caller.client.patch(thing, headers=caller.headers, json={"name": ""})

    assert answer.status_code == 422


def test_a_missing_thing_is_not_found_before_all_else(caller: Caller) -> None:
    answer = caller.client.patch(
        f"{THINGS}/nothing", headers={**caller.headers, "If-Match": '"x"'}, data=b"{"
    )
    acted = caller.client.post(f"{THINGS}/nothing/act", headers=caller.headers, data=b"{")

    assert (answer.status_code, acted.status_code) == (404, 404)


def test_conditions_count_on_delete_too(caller: Caller, thing: str) -> None:
    stale = caller.client.delete(thing, headers={**caller.headers, "If-Match": '"stale"'})
    right = caller.client.delete(thing, headers={**caller.headers, "If-Match": tag(caller, thing)})

    assert (stale.status_code, right.status_code) == (412, 204)


def test_put_can_insist_on_making(caller: Caller, thing: str) -> None:
    headers = {**caller.headers, "If-None-Match": "*"}

    taken = caller.client.put(thing, headers=headers, json={"name": "a"})
    free = caller.client.put(f"{thing}-new", headers=headers, json={"name": "a"})

    assert (taken.status_code, free.status_code) == (412, 200)


def test_put_can_insist_on_replacing(caller: Caller, thing: str) -> None:
    answer = caller.client.put(
        f"{thing}-none", headers={**caller.headers, "If-Match": "*"}, json={"name": "a"}
    )

    assert answer.status_code == 412


def test_a_condition_on_what_has_no_form_is_not_ignored(caller: Caller) -> None:
    answer = caller.client.post(
        THINGS, headers={**caller.headers, "If-Match": '"x"'}, json={"name": "a"}
    )

    assert answer.status_code == 412


def test_of_many_changes_of_one_version_one_gets_through(server: Server) -> None:
    made = requests.post(
        f"{server.url}{THINGS}", headers=server.headers, json={"name": "race"}, timeout=30
    )
    url = f"{server.url}{made.headers['Location']}"
    before = requests.get(url, headers=server.headers, timeout=30).headers["ETag"]

    def change(number: int) -> int:
        return requests.patch(
            url,
            headers={**server.headers, "If-Match": before},
            json={"name": f"change {number}"},
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(8)))

    assert statuses == [200] + [412] * 7
