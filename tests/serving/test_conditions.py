import hashlib
from pathlib import Path

import pytest

from serving.conditions import accepted_suffixes
from tests.serving.conftest import FILES, LONG_PAGE, Visitor
from tests.serving.trees import point, write_release, write_site

ABOUT = hashlib.sha256(LONG_PAGE).hexdigest()
NOISE = FILES["noise.bin"]


def test_the_entity_tag_is_the_hash_of_the_content(visitor: Visitor, site: str) -> None:
    assert visitor.get("/about").headers["ETag"] == f'"{ABOUT}"'


@pytest.mark.parametrize(
    "known", [f'"{ABOUT}"', f'W/"{ABOUT}"', f'"x", "{ABOUT}" , "y"', "*", f'"a,b","{ABOUT}"']
)
def test_what_the_browser_has_is_not_sent_again(visitor: Visitor, site: str, known: str) -> None:
    answer = visitor.get("/about", if_none_match=known)

    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == f'"{ABOUT}"'
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["X-Release"] == site[:16]
    assert "Content-Length" not in answer.headers


@pytest.mark.parametrize("known", ['"other"', ABOUT[:40], "", f'"{ABOUT}-br"', '"'])
def test_anything_else_is_sent(visitor: Visitor, site: str, known: str) -> None:
    assert visitor.get("/about", if_none_match=known).status_code == 200


def test_a_date_never_makes_an_answer_stale(visitor: Visitor, root: Path) -> None:
    first = write_site(root, {"index.html": b"first"})
    second = write_release(root, {"index.html": b"second"})
    tag = visitor.get("/").headers["ETag"]
    point(root, second)

    later = {"if_modified_since": "Fri, 31 Dec 2199 23:59:59 GMT"}
    assert visitor.get("/", **later).data == b"second"
    assert visitor.get("/", if_none_match=tag).data == b"second"
    assert "Last-Modified" not in visitor.get("/").headers

    point(root, first)
    assert visitor.get("/", **later).data == b"first"
    assert visitor.get("/", if_none_match=tag).status_code == 304


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=2000-", 2000, 2048),
        ("bytes=-5", 2043, 2048),
        ("bytes=-99999", 0, 2048),
        ("bytes=2040-99999", 2040, 2048),
        ("Bytes=1-2", 1, 3),
    ],
)
def test_one_range_is_served(
    visitor: Visitor, site: str, asked: str, start: int, stop: int
) -> None:
    answer = visitor.get("/noise.bin", range=asked)

    assert (answer.status_code, answer.data) == (206, NOISE[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2048"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize(
    "asked", ["bytes=2048-", "bytes=-0", "bytes=5-2", "bytes=x", "bytes=", "bytes=-", "bytes=1-2-3"]
)
def test_a_range_beyond_the_file_is_416(visitor: Visitor, site: str, asked: str) -> None:
    answer = visitor.get("/noise.bin", range=asked)

    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */2048")


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=" + ",".join(["0-"] * 1000), "lines=1-2", "nonsense"]
)
def test_other_ranges_get_the_whole_file(visitor: Visitor, site: str, asked: str) -> None:
    answer = visitor.get("/noise.bin", range=asked)

    assert (answer.status_code, answer.data) == (200, NOISE)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_a_range_of_an_absurd_number_is_refused_cheaply(visitor: Visitor, site: str) -> None:
    assert visitor.get("/noise.bin", range="bytes=" + "9" * 5000 + "-").status_code == 416


def test_ranges_do_not_apply_to_empty_files_to_head_and_to_missing_pages(
    visitor: Visitor, site: str
) -> None:
    assert visitor.get("/empty.txt", range="bytes=0-").status_code == 200
    assert visitor.send("HEAD", "/noise.bin", range="bytes=0-1").status_code == 200
    assert visitor.get("/nothing", range="bytes=0-1").data == FILES["404.html"]


def test_a_download_goes_on_only_with_the_same_content(visitor: Visitor, site: str) -> None:
    tag = visitor.get("/noise.bin").headers["ETag"]

    def status(if_range: str) -> int:
        return visitor.get("/noise.bin", range="bytes=0-1", if_range=if_range).status_code

    assert status(tag) == 206
    assert status('"other"') == 200
    assert status(f"W/{tag}") == 200
    assert status("Fri, 31 Dec 2199 23:59:59 GMT") == 200


def test_not_modified_comes_before_the_range(visitor: Visitor, site: str) -> None:
    tag = visitor.get("/noise.bin").headers["ETag"]

    assert visitor.get("/noise.bin", range="bytes=9999-", if_none_match=tag).status_code == 304


@pytest.mark.parametrize(
    ("accepted", "suffixes"),
    [
        ("", ()),
        ("gzip, deflate, br, zstd", ("br", "gz")),
        ("gzip", ("gz",)),
        ("GZIP;q=1.0, br;q=0.5", ("gz", "br")),
        ("br;q=0, gzip", ("gz",)),
        ("*", ("br", "gz")),
        ("*;q=0, gzip", ("gz",)),
        ("identity", ()),
        ("identity;q=0.9, gzip;q=0.5, br", ("br",)),
        ("gzip;q=nonsense, br;q=2", ()),
        ("deflate, zstd", ()),
    ],
)
def test_codings_are_tried_in_the_order_the_client_prefers(
    accepted: str, suffixes: tuple[str, ...]
) -> None:
    assert accepted_suffixes(accepted) == suffixes


@pytest.mark.parametrize(
    ("accepted", "coding", "suffix"), [("br, gzip", "br", "-br"), ("gzip", "gzip", "-gz")]
)
def test_a_compressed_variant_is_another_representation(
    visitor: Visitor, site: str, accepted: str, coding: str, suffix: str
) -> None:
    answer = visitor.get("/about", accept_encoding=accepted)

    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["ETag"] == f'"{ABOUT}{suffix}"'
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.data)) != str(len(LONG_PAGE))
    assert "Accept-Ranges" not in answer.headers
    known = visitor.get("/about", accept_encoding=accepted, if_none_match=answer.headers["ETag"])
    assert known.status_code == 304


def test_a_plain_copy_is_not_taken_for_a_compressed_one(visitor: Visitor, site: str) -> None:
    answer = visitor.get("/about", accept_encoding="br", if_none_match=f'"{ABOUT}"')

    assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{ABOUT}-br"')


def test_without_a_variant_the_file_itself_is_sent(visitor: Visitor, site: str) -> None:
    answer = visitor.get("/assets/logo.svg", accept_encoding="br, gzip")

    assert answer.data == FILES["assets/logo.svg"]
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in answer.headers


def test_ranges_are_cut_from_the_plain_file(visitor: Visitor, site: str) -> None:
    answer = visitor.get("/about", accept_encoding="br", range="bytes=0-8")

    assert (answer.status_code, answer.data) == (206, LONG_PAGE[:9])
    assert "Content-Encoding" not in answer.headers
