"""Uploads as forms: one file and nothing else, and an empty one is no archive."""

import io
from functools import partial
from typing import cast

import pytest

from tests.api.refusals import refused_call
from tests.archives.zip_maker import simple_zip
from tests.factories import make_site, staged
from tests.people import Answer, Caller, People

LIST = "/sites/web/releases"


@pytest.fixture
def root(inside: People) -> Caller:
    make_site()
    return inside.caller("root")


def _send(caller: Caller, data: bytes, content_type: str) -> Answer:
    answer = caller.client.post(
        f"/api/v1{LIST}",
        data=data,
        headers={"Authorization": f"Bearer {caller.credential}"},
        content_type=content_type,
    )
    return cast("Answer", answer)


def test_a_form_may_carry_the_archive(root: Caller) -> None:
    form = {"file": (io.BytesIO(simple_zip({"index.html": b"x"})), "site.zip")}

    answer = root.client.post(
        f"/api/v1{LIST}", data=form, headers={"Authorization": f"Bearer {root.credential}"}
    )

    assert answer.status_code == 201


def test_nothing_is_no_archive(root: Caller) -> None:
    raw = refused_call(partial(_send, root, b"", "application/zip"), 422, "archive_invalid")
    form = refused_call(partial(_form, root, _part("file", b"")), 422, "archive_invalid")

    assert raw["rule"] == form["rule"] == "empty_upload"


def _part(name: str, data: bytes, filename: str | None = "site.zip") -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'--X\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def _form(caller: Caller, *parts: bytes) -> Answer:
    return _send(caller, b"".join(parts) + b"--X--\r\n", "multipart/form-data; boundary=X")


SITE = _part("file", simple_zip({"index.html": b"x"}))
NONSENSE = _part("nonsense", b"1" * 5_000_000, None)


@pytest.mark.parametrize(
    ("parts", "pointer", "code"),
    [
        ([SITE, _part("to", b"none", None)], "/to", "unknown_field"),
        ([_part("to", b"none", None), SITE], "/to", "unknown_field"),
        ([SITE, NONSENSE], "/nonsense", "unknown_field"),
        ([SITE, _part("other", b"x")], "/other", "unknown_field"),
        ([SITE, SITE], "/file", "duplicate_name"),
        ([_part("file", b"x", None)], "/file", "required"),
        ([], "/file", "required"),
    ],
)
def test_a_form_holds_nothing_but_the_file(
    root: Caller, parts: list[bytes], pointer: str, code: str
) -> None:
    document = refused_call(partial(_form, root, *parts), 422, "validation_failed")

    assert [(error["pointer"], error["code"]) for error in document["errors"]] == [(pointer, code)]
    assert staged() == []
