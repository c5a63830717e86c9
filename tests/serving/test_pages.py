from pathlib import Path

import pytest

from tests.serving.conftest import FILES, Visitor
from tests.serving.trees import write_site


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/", "index.html"),
        ("/index.html", "index.html"),
        ("/index", "index.html"),
        ("/about", "about.html"),
        ("/about.html", "about.html"),
        ("/docs/", "docs/index.html"),
        ("/docs/setup", "docs/setup.html"),
        ("/both", "both.html"),
        ("/both/", "both/index.html"),
        ("/gr%C3%BCn", "grün.html"),
        ("/docs///setup", "docs/setup.html"),
        ("/about?utm=1", "about.html"),
        ("/.well-known/security.txt", ".well-known/security.txt"),
        ("/404.html", "404.html"),
        ("/empty.txt", "empty.txt"),
    ],
)
def test_an_address_is_answered_by_its_file(
    visitor: Visitor, site: str, address: str, path: str
) -> None:
    answer = visitor.get(address)

    assert (answer.status_code, answer.data) == (200, FILES[path])
    assert answer.headers["X-Release"] == site[:16]
    assert answer.headers["Content-Length"] == str(len(FILES[path]))


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("/docs", "/docs/"),
        ("/docs?a=1&b=%20", "/docs/?a=1&b=%20"),
        ("/two%20words", "/two%20words/"),
    ],
)
def test_only_a_folder_without_its_slash_is_redirected(
    visitor: Visitor, site: str, address: str, location: str
) -> None:
    answer = visitor.get(address)

    assert (answer.status_code, answer.headers["Location"]) == (301, location)
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "address",
    ["/nothing", "/about/", "/no-index", "/no-index/", "/about.html/", "/About", "/%ff%fe", "/%5c"],
)
def test_what_is_missing_gets_the_sites_own_page(visitor: Visitor, site: str, address: str) -> None:
    answer = visitor.get(address)

    assert (answer.status_code, answer.data) == (404, FILES["404.html"])
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "ETag" not in answer.headers


def test_without_a_page_for_it_what_is_missing_is_plain_text(visitor: Visitor, root: Path) -> None:
    write_site(root, {"index.html": b"x"})

    answer = visitor.get("/nothing")

    assert (answer.status_code, answer.data) == (404, b"404 Not Found\n")


@pytest.mark.parametrize(
    "address",
    ["/.env", "/.git/config", "/docs/.draft", "/docs/.draft.html", "/.well-known/.hidden", "/.git"],
)
def test_names_that_begin_with_a_dot_are_never_served(
    visitor: Visitor, site: str, address: str
) -> None:
    assert visitor.get(address).status_code == 404


@pytest.mark.parametrize("address", ["/", "/about", "/noise.bin", "/docs", "/nothing"])
def test_head_is_get_without_the_body(visitor: Visitor, site: str, address: str) -> None:
    shown, head = visitor.get(address), visitor.send("HEAD", address)

    assert (head.status_code, head.headers) == (shown.status_code, shown.headers)
    assert head.data == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(visitor: Visitor, site: str, method: str) -> None:
    answer = visitor.send(method, "/")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("address", "content_type"),
    [
        ("/style.css", "text/css; charset=utf-8"),
        ("/assets/app.3f2a9c1b.js", "text/javascript; charset=utf-8"),
        ("/assets/logo.svg", "image/svg+xml"),
        ("/LICENSE", "text/plain; charset=utf-8"),
        ("/noise.bin", "application/octet-stream"),
    ],
)
def test_types_come_from_the_manifest_and_are_not_guessed_by_browsers(
    visitor: Visitor, site: str, address: str, content_type: str
) -> None:
    answer = visitor.get(address)

    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_site_may_have_no_front_page(visitor: Visitor, root: Path) -> None:
    write_site(root, {"only.txt": b"x"})

    assert visitor.get("/").status_code == 404
    assert visitor.get("/only.txt").status_code == 200
