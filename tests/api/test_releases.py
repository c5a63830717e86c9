"""`/sites/{slug}/releases` over HTTP: uploads, what they publish, and every way out."""

import hashlib
import io
import tarfile
from functools import partial
from typing import Any, cast

import pytest

from services.permissions import TokenPreset
from tests.api.refusals import pointers, refused_call
from tests.archives.zip_maker import simple_zip
from tests.factories import live, make_site, promote, release, roll_back, send, staged, tree, upload
from tests.people import Answer, Caller, People, make_people

FIELDS = {
    "number", "digest", "state", "file_count", "size_bytes", "unique_bytes", "message", "commit",
    "source_url", "created_by", "created_at", "submissions", "verified_at", "pinned", "bad",
    "environments", "published", "stripped", "url", "job", "same_as",
}  # fmt: skip
LIST = "/sites/web/releases"
NOISE = hashlib.shake_128(b"noise").digest(4000)


@pytest.fixture
def root(inside: People) -> Caller:
    make_site()
    return inside.caller("root")


def _post(
    caller: Caller, data: bytes, content_type: str | None = None, query: str = "", **headers: str
) -> Answer:
    """Upload these bytes as they are."""
    sent = {"Authorization": f"Bearer {caller.credential}", **headers}
    answer = caller.client.post(
        f"/api/v1{LIST}{query}", data=data, headers=sent, content_type=content_type
    )
    return cast("Answer", answer)


def _tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # mode of a test
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_an_upload_answers_the_whole_release(root: Caller) -> None:
    answer = send(
        root, "one", message="Easter", commit="4f2c1d9", source_url="https://ci.example.org/7"
    )

    shown = answer.json
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1{LIST}/1")
    assert set(shown) - {"promotion"} == FIELDS
    assert (shown["number"], shown["state"], shown["file_count"]) == (1, "ready", 1)
    assert (shown["message"], shown["commit"]) == ("Easter", "4f2c1d9")
    assert (shown["created_by"], shown["submissions"]) == ("root", 1)
    assert shown["published"] == {"environment": "test", "promotion": 1}
    assert shown["environments"] == ["test"]
    assert shown["url"] == f"http://{shown['digest'][:16]}--web.localhost:8080/"
    assert live("test") == 1


def test_equal_content_answers_200_with_one_more_submission(root: Caller) -> None:
    first = send(root, "one", commit="aaa")

    again = send(root, "one", commit="bbb")

    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json["number"], again.json["submissions"], again.json["commit"]) == (1, 2, "bbb")
    assert again.headers["Location"] == first.headers["Location"]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (simple_zip({"index.html": b"x"}), "application/zip"),
        (simple_zip({"index.html": b"x"}), "text/plain"),
        (simple_zip({"index.html": b"x"}), None),
        (_tar({"index.html": b"x"}), "application/x-www-form-urlencoded"),
        (_tar({"index.html": b"x"}, "w"), "application/octet-stream"),
    ],
)
def test_the_kind_is_told_by_the_bytes(root: Caller, data: bytes, content_type: str | None) -> None:
    assert _post(root, data, content_type).status_code == 201


def test_json_is_no_archive(root: Caller) -> None:
    call = partial(root.post, LIST, {"file": "x"})

    refused_call(call, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no archive at all", "archive_invalid"),
        (simple_zip({"../x.html": b"x"}), "archive_invalid"),
        (simple_zip({"index.html": b"x"})[:-30], "archive_invalid"),
        (simple_zip({"index.html": b"x", ".env.local": b"KEY=1"}), "secret_file"),
    ],
)
def test_a_refused_archive_names_the_rule(root: Caller, data: bytes, code: str) -> None:
    document = refused_call(partial(_post, root, data), 422, code)

    assert document["paths" if code == "secret_file" else "rule"]
    assert staged() == []


def test_secret_files_are_published_when_that_is_meant(root: Caller) -> None:
    data = simple_zip({"index.html": b"x", ".env": b"KEY=1"})

    assert _post(root, data, query="?allow_secret_files=true").status_code == 201


@pytest.mark.parametrize(
    ("setting", "files", "status", "code"),
    [
        ("MAX_UPLOAD_BYTES", {"index.html": NOISE}, 413, "body_too_large"),
        ("MAX_RELEASE_BYTES", {"a": b"x" * 1000, "b": b"x" * 1000}, 413, "quota_exceeded"),
        ("MAX_FILE_BYTES", {"index.html": b"x" * 2000}, 413, "quota_exceeded"),
    ],
)
def test_limits_are_named_with_their_setting(
    tmp_path: Any, setting: str, files: dict[str, bytes], status: int, code: str
) -> None:
    people = make_people(tmp_path, **{setting: "1024"})
    with people.app.app_context():
        make_site()
        root = people.caller("root")

        document = refused_call(partial(send, root, files), status, code)

    assert (document["setting"], document["limit"]) == (setting, 1024)
    assert "actual" in document


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("to=staging", "?to"),
        ("to=No!", "?to"),
        ("strip=2", "?strip"),
        ("wait=51", "?wait"),
        ("wait=-1", "?wait"),
        ("wait=x", "?wait"),
        ("commit=a b", "?commit"),
        ("source_url=javascript:alert(1)", "?source_url"),
        ("allow_secret_files=perhaps", "?allow_secret_files"),
        ("unknown=1", "?unknown"),
        ("approval=request", "?approval"),
        (f"message={'x' * 501}", "?message"),
    ],
)
def test_what_an_upload_refuses(root: Caller, query: str, pointer: str) -> None:
    call = partial(_post, root, simple_zip({"index.html": b"x"}), query=f"?{query}")

    assert pointers(refused_call(call, 422, "validation_failed")) == [pointer]


def test_an_upload_to_main_answers_its_promotion(root: Caller) -> None:
    answer = send(root, "one", to="main")

    assert (answer.status_code, answer.json["published"]) == (201, None)
    assert (answer.json["promotion"]["state"], answer.json["promotion"]["kind"]) == (
        "succeeded",
        "promote",
    )
    assert (live("main"), live("test")) == (1, None)


def test_an_upload_to_none_publishes_nothing(root: Caller) -> None:
    answer = send(root, "one", to="none")

    assert (answer.json["published"], answer.json["environments"]) == (None, [])


@pytest.mark.parametrize("stop", ["lock", "hold"])
def test_an_upload_that_may_not_be_published_is_kept(root: Caller, stop: str) -> None:
    send(root, "one")
    send(root, "two")
    if stop == "lock":
        root.put("/sites/web/environments/test/lock", {"reason": "demo"})
    else:
        roll_back(environment="test")

    answer = send(root, "three")

    assert (answer.status_code, answer.json["published"], answer.json["number"]) == (201, None, 3)
    assert live("test") == (2 if stop == "lock" else 1)


def test_a_refused_promotion_says_where_the_upload_is(root: Caller) -> None:
    root.put("/sites/web/environments/main/lock", {"reason": "demo"})

    answer = send(root, "one", to="main")

    assert (answer.status_code, answer.json["code"]) == (409, "environment_locked")
    assert answer.json["release"] == 1
    assert root.get(f"{LIST}/1").json["state"] == "ready"
    assert live() is None


def test_a_token_for_uploads_publishes_to_test_only(inside: People, root: Caller) -> None:
    machine = inside.token_caller("root", preset=TokenPreset.UPLOAD)

    published = send(machine, "one")
    document = refused_call(partial(send, machine, "two", to="main"), 403, "scope_missing")

    assert published.json["published"] == {"environment": "test", "promotion": 1}
    assert document["missing"] == ["promotions:write"]


def test_a_repeated_key_uploads_once(root: Caller) -> None:
    data = simple_zip({"index.html": b"x"})

    answers = [_post(root, data, **{"Idempotency-Key": "run-7"}) for _ in range(2)]
    other = _post(root, simple_zip({"index.html": b"y"}), **{"Idempotency-Key": "run-7"})

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert release(1).submission_count == 1


def test_releases_are_listed_searched_and_sorted(root: Caller) -> None:
    for text in ("one", "two", "three"):
        send(root, text, message=f"page {text}", commit=f"{len(text)}abcdef")

    listed = root.get(LIST).json
    found = root.get(f"{LIST}?q=PAGE t&sort=number").json

    assert [item["number"] for item in listed["items"]] == [3, 2, 1]
    assert [item["number"] for item in found["items"]] == [2, 3]
    for sort in ("-number", "created_at", "-created_at,number"):
        assert root.get(f"{LIST}?sort={sort}").status_code == 200
    refused_call(partial(root.get, f"{LIST}?sort=digest"), 422, "validation_failed")


def test_a_release_is_pinned_marked_and_reworded(root: Caller) -> None:
    send(root, "one", message="first")
    tag = root.get(f"{LIST}/1").headers["ETag"]

    changed = root.patch(f"{LIST}/1", {"pinned": True, "bad": True, "message": None}, If_Match=tag)
    kept = root.patch(f"{LIST}/1", {"pinned": False})

    assert changed.status_code == 200
    assert (changed.json["pinned"], changed.json["bad"], changed.json["message"]) == (
        True,
        True,
        None,
    )
    assert (kept.json["pinned"], kept.json["bad"]) == (False, True)
    refused_call(
        partial(root.patch, f"{LIST}/1", {"bad": False}, If_Match=tag), 412, "precondition_failed"
    )
    refused_call(
        partial(root.call, "PATCH", f"{LIST}/1", {"bad": False}), 428, "precondition_required"
    )
    refused_call(partial(root.patch, f"{LIST}/1", {"digest": "x"}), 422, "validation_failed")


def test_a_release_is_not_sent_twice(root: Caller) -> None:
    send(root, "one")
    tag = root.get(f"{LIST}/1").headers["ETag"]

    assert root.get(f"{LIST}/1", If_None_Match=tag).status_code == 304
    promote(1)
    assert root.get(f"{LIST}/1", If_None_Match=tag).status_code == 200


def test_a_release_that_is_needed_says_why_it_stays(root: Caller) -> None:
    send(root, "one")

    document = refused_call(partial(root.delete, f"{LIST}/1"), 409, "release_protected")

    assert document["reasons"] == ["live in test"]


def test_a_deleted_release_stays_listed(root: Caller) -> None:
    send(root, "one")
    send(root, "two", to="none")

    gone = root.delete(f"{LIST}/2")
    again = root.delete(f"{LIST}/2")

    assert (gone.status_code, again.status_code) == (204, 204)
    assert root.get(f"{LIST}/2").json["state"] == "archived"
    assert root.get(f"{LIST}/2/manifest").status_code == 200
    for part in ("files/index.html", "archive.tar.gz"):
        answer = root.get(f"{LIST}/2/{part}")
        assert answer.status_code in (404, 409), part
    refused_call(
        partial(root.post, "/sites/web/promotions", {"to": "main", "release": 2}),
        409,
        "release_not_ready",
    )


def test_the_manifest_lists_every_file(root: Caller) -> None:
    send(root, {"index.html": b"one", "css/a.css": b"a{}"})

    manifest = root.get(f"{LIST}/1/manifest").json

    assert [file["path"] for file in manifest["files"]] == ["css/a.css", "index.html"]
    assert manifest["files"][0]["content_type"] == "text/css; charset=utf-8"
    assert (manifest["file_count"], manifest["size_bytes"]) == (2, 6)


def test_a_file_is_downloaded_and_never_shown_as_a_page(root: Caller) -> None:
    send(root, {"index.html": b"<h1>one</h1>", "a b/ü.txt": b"text"})

    answer = root.get(f"{LIST}/1/files/index.html")
    again = root.get(f"{LIST}/1/files/index.html", If_None_Match=answer.headers["ETag"])
    odd = root.get(f"{LIST}/1/files/a%20b/%C3%BC.txt")

    assert (answer.status_code, answer.data) == (200, b"<h1>one</h1>")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]
    assert (odd.status_code, odd.data) == (200, b"text")


@pytest.mark.parametrize(
    "path", ["nothing.html", "..%2f..%2f..%2fetc/passwd", "css", "%00", "index.html/x"]
)
def test_what_the_release_does_not_have_is_not_found(root: Caller, path: str) -> None:
    send(root, {"index.html": b"one", "css/a.css": b"a{}"})

    assert root.get(f"{LIST}/1/files/{path}").status_code == 404


def test_a_downloaded_archive_is_the_same_release_again(root: Caller) -> None:
    first = send(root, {"index.html": b"one", "css/a.css": b"a{}"}, to="none")
    archive = root.get(f"{LIST}/1/archive.tar.gz")

    again = _post(root, archive.data, query="?to=none&strip=0")

    assert archive.content_type == "application/gzip"
    assert "filename=web-1.tar.gz" in archive.headers["Content-Disposition"]
    assert (again.status_code, again.json["digest"]) == (200, first.json["digest"])


@pytest.mark.parametrize("part", ["", "/manifest", "/files/index.html", "/archive.tar.gz"])
def test_an_unknown_release_is_not_found(root: Caller, part: str) -> None:
    refused_call(partial(root.get, f"{LIST}/9{part}"), 404, "not_found")


def test_an_unknown_release_is_404_before_the_body_counts(root: Caller) -> None:
    refused_call(partial(root.patch, f"{LIST}/9", {"nonsense": 1}), 404, "not_found")
    refused_call(partial(root.delete, f"{LIST}/9"), 404, "not_found")


def test_the_enclosing_folder_is_told(root: Caller) -> None:
    files = {"dist/index.html": b"one", "dist/a.css": b"a"}

    stripped = send(root, files, to="none").json
    kept = send(root, files, to="none", strip="0").json

    assert (stripped["stripped"], kept["stripped"]) == ("dist", None)
    assert (tree(1) / "a.css").exists()
    assert (tree(2) / "dist/a.css").exists()


def test_a_commit_names_the_latest_upload_of_it(root: Caller) -> None:
    upload("one", commit="abc1234")
    upload("two", commit="abc1234")

    answer = root.post("/sites/web/promotions", {"to": "main", "release": "commit:abc1234"})

    assert (answer.status_code, answer.json["release"]) == (201, 2)
