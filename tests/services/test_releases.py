"""Releases: equal content is the same release, and what was stored never changes."""

import io

import pytest
from sqlalchemy import select

from core.errors import ErrorCode
from core.extensions import site_store
from models.engine import db
from models.releases import ReleaseState, Submission
from services import receiving, release_views, releases
from services.paging import PageRequest
from services.releases import ReceiveOptions, ReleaseChange
from tests.archives.zip_maker import simple_zip
from tests.factories import (
    OPERATOR,
    audit_actions,
    count,
    last_event,
    make_site,
    page,
    push,
    refused,
    release,
    staged,
    tree,
    upload,
)
from tests.people import People, find

pytestmark = pytest.mark.usefixtures("inside")


def _receive(data: bytes, **options: object) -> releases.Upload:
    return receiving.receive(
        actor=OPERATOR,
        slug="web",
        stream=io.BytesIO(data),
        options=ReceiveOptions(**options),  # type: ignore[arg-type]  # options of a test
    )


def _found(q: str) -> list[int]:
    found = releases.list_releases(actor=OPERATOR, slug="web", page=PageRequest(q=q))
    return [item.number for item in found.items]


def _change(number: int, **change: object) -> None:
    wanted = ReleaseChange(**change)  # type: ignore[arg-type]  # options of a test
    releases.update_release(actor=OPERATOR, slug="web", number=number, change=wanted)


def test_an_upload_becomes_a_verified_numbered_release() -> None:
    make_site()

    upload = _receive(simple_zip({"index.html": b"one", "a/b.css": b"c"}))

    assert (upload.created, upload.release.number) == (True, 1)
    assert upload.release.state is ReleaseState.READY
    assert upload.release.verified_at is not None
    assert (upload.release.file_count, upload.release.size_bytes) == (2, 4)
    assert site_store().verify("web", upload.release.digest, full=True).clean
    assert last_event().action == "release.created"


def test_a_release_has_a_host_of_its_own() -> None:
    make_site()

    digest = _receive(simple_zip(page("one"))).release.digest

    assert site_store().hosts()[f"{digest[:16]}--web.localhost"] == f"web/releases/{digest}"


def test_equal_content_is_the_same_release_with_one_more_submission() -> None:
    make_site()
    push("one", to="none", message="first", commit="aaa")
    upload("two")

    again = push("one", to="none", message="second", commit="bbb").upload

    assert (again.created, again.release.number) == (False, 1)
    assert (again.release.submission_count, count(Submission)) == (2, 3)
    (view,) = release_views.describe(slug="web", releases=[release(1)])
    assert (view.message, view.commit, view.submissions) == ("second", "bbb", 2)
    assert last_event().action == "release.submitted"


def test_an_upload_without_a_message_keeps_the_one_before() -> None:
    make_site()
    push("one", to="none", message="first")

    push("one", to="none")

    assert release(1).message == "first"


def test_the_same_content_on_two_sites_is_stored_once() -> None:
    make_site("blog")
    make_site()
    files = {"index.html": b"x" * 5000}

    first = push(files, slug="blog").upload
    second = push(files).upload

    assert (first.release.unique_bytes, second.release.unique_bytes) == (5000, 0)
    assert first.release.digest == second.release.digest
    assert (tree(1) / "index.html").stat().st_ino == (
        tree(1, slug="blog") / "index.html"
    ).stat().st_ino


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"this is no archive", ErrorCode.ARCHIVE_INVALID),
        (simple_zip({"../up.html": b"x"}), ErrorCode.ARCHIVE_INVALID),
        (simple_zip({"index.html": b"x", ".env": b"KEY=1"}), ErrorCode.SECRET_FILE),
        (simple_zip({"index.html": b"x", ".git/config": b"x"}), ErrorCode.SECRET_FILE),
    ],
)
def test_a_refused_archive_leaves_nothing(data: bytes, code: ErrorCode) -> None:
    make_site()

    with refused(code):
        _receive(data)

    assert staged() == []
    assert not site_store().layout.releases("web").exists()


def test_secret_files_are_published_when_that_is_meant() -> None:
    make_site()
    data = simple_zip({"index.html": b"x", ".env": b"KEY=1"})

    upload = _receive(data, allow_secret_files=True)

    assert upload.release.file_count == 2


def test_an_upload_that_breaks_off_leaves_nothing() -> None:
    make_site()

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the connection was lost")

    with pytest.raises(OSError, match="connection"):
        receiving.receive(actor=OPERATOR, slug="web", stream=Broken())

    assert staged() == []


def test_the_enclosing_folder_is_told() -> None:
    make_site()

    upload = _receive(simple_zip({"dist/index.html": b"one"}))

    assert upload.stripped == "dist"
    assert (tree(1) / "index.html").read_bytes() == b"one"


def test_a_release_is_pinned_marked_and_reworded() -> None:
    make_site()
    upload("one")

    _change(1, pinned=True, bad=True, message="Easter")

    changed = release(1)
    assert (changed.pinned, changed.bad, changed.message) == (True, True, "Easter")
    assert last_event().before == {"pinned": False, "bad": False, "message": None}


def test_a_message_can_be_taken_away() -> None:
    make_site()
    upload("one", message="Easter")

    _change(1, message="")

    assert release(1).message is None
    assert last_event().after == {"message": None}


def test_a_change_of_an_older_version_is_refused() -> None:
    make_site()
    upload("one")
    seen = release(1).version
    _change(1, pinned=True)

    with refused(ErrorCode.PRECONDITION_FAILED):
        releases.update_release(
            actor=OPERATOR,
            slug="web",
            number=1,
            change=ReleaseChange(pinned=False),
            expected_version=seen,
        )


def test_an_unknown_release_is_not_found() -> None:
    make_site()

    with refused(ErrorCode.NOT_FOUND):
        releases.get_release(actor=OPERATOR, slug="web", number=1)


def test_releases_are_found_by_message_commit_and_digest() -> None:
    make_site()
    upload("one", message="Easter 100%", commit="4f2c1d9")
    upload("two", message="Summer")
    upload("one", commit="99aabb1")

    assert _found("easter") == [1]
    assert _found("SUMMER") == [2]
    assert _found("4f2c") == [1]
    assert _found("99aabb1") == [1]
    assert _found(release(2).digest[:12]) == [2]
    assert _found("100%") == [1]
    assert _found("%") == [1]


def test_of_several_uploads_of_one_commit_the_latest_counts() -> None:
    site = make_site()
    upload("one", commit="abc")
    upload("two", commit="abc")
    upload("three", commit="def")

    assert releases.resolve(site=site, reference="commit:abc").number == 2
    assert releases.resolve(site=site, reference=3).number == 3


@pytest.mark.parametrize("reference", [9, "commit:nothing"])
def test_a_reference_to_nothing_is_an_input_error(reference: int | str) -> None:
    site = make_site()

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        releases.resolve(site=site, reference=reference)

    assert refusal.pointers == ["/release"]


def test_a_commit_of_another_site_names_nothing() -> None:
    make_site("blog")
    site = make_site()
    upload("one", slug="blog", commit="abc")

    with refused(ErrorCode.VALIDATION_FAILED):
        releases.resolve(site=site, reference="commit:abc")


def test_a_release_outlives_the_account_of_its_uploader(people: People) -> None:
    people.user("ana")
    make_site(ana="owner")
    push("one", actor=people.actor("ana"))
    db.session.execute(select(1))
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM users WHERE id = {find('ana').id}")

    (view,) = release_views.describe(slug="web", releases=[release(1)])

    assert view.created_by is None


def test_every_upload_leaves_one_event(people: People) -> None:
    make_site()
    before = len(audit_actions())

    push("one", to="none")
    push("one", to="none")
    push("two")

    assert audit_actions(before) == [
        "release.created",
        "release.submitted",
        "release.created",
        "promotion.succeeded",
    ]
