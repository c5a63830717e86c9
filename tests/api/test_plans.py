"""Plans over HTTP: what a promotion would change, and what is refused."""

from functools import partial

import pytest

from tests.api.refusals import pointers, refused_call
from tests.factories import make_site, upload
from tests.people import Caller, People


@pytest.fixture
def root(inside: People) -> Caller:
    make_site(main=("one",))
    upload("two")
    return inside.caller("root")


def test_a_plan_names_files_with_sizes_and_hashes(root: Caller) -> None:
    plan = root.get("/sites/web/plan?from=test&to=main").json

    (changed,) = plan["changed"]
    assert set(changed) == {
        "path", "size_bytes", "sha256", "previous_size_bytes", "previous_sha256",
    }  # fmt: skip
    assert plan["counts"] == {"added": 0, "changed": 1, "removed": 0}
    assert plan == root.get("/sites/web/plan?release=2&to=main").json


@pytest.mark.parametrize("query", ["", "?to=staging", "?to=main&release=x", "?to=main&x=1"])
def test_what_a_plan_refuses(root: Caller, query: str) -> None:
    refused_call(partial(root.get, f"/sites/web/plan{query}"), 422, "validation_failed")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=zz&to=main", "?from"),
        ("from=main&to=main", "?from"),
        ("to=test", "?from"),
        ("release=2&from=main&to=main", "?from"),
        ("release=99&to=main", "?release"),
        ("to=zz", "?to"),
    ],
)
def test_a_plan_points_into_the_query(root: Caller, query: str, pointer: str) -> None:
    document = refused_call(partial(root.get, f"/sites/web/plan?{query}"), 422, "validation_failed")

    assert pointers(document) == [pointer]
