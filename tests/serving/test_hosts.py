from pathlib import Path

import pytest

from serving.hosts import host_name
from tests.serving.conftest import Visitor
from tests.serving.trees import point, publish_host, replace_link, write_release, write_site


@pytest.mark.parametrize(
    "host",
    ["web.localhost", "WEB.LocalHost", "web.localhost:8080", "web.localhost.", "web.localhost:"],
)
def test_a_host_is_found_however_it_is_written(visitor: Visitor, site: str, host: str) -> None:
    assert visitor.get("/", host=host).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        ".",
        "..",
        "../web",
        "a..b",
        "a/b",
        ".hosts",
        "-web.localhost",
        "web_localhost",
        "web.localhost:80:80",
        "web.localhost:x",
        "[::1]:8080",
        "bücher.example",
        "web.localhost\0",
        "x" * 254,
    ],
)
def test_what_cannot_be_a_host_is_none(header: str) -> None:
    assert host_name(header) is None


def test_an_international_name_is_known_by_its_ascii_form(
    visitor: Visitor, root: Path, site: str
) -> None:
    publish_host(root, "xn--bcher-kva.example", "../web/main")

    assert visitor.get("/", host="xn--bcher-kva.example").status_code == 200


@pytest.mark.parametrize("host", ["nobody.localhost", "web.localhost.evil.example", "web_x"])
def test_an_unknown_host_is_plain_404(visitor: Visitor, site: str, host: str) -> None:
    answer = visitor.get("/", host=host)

    assert (answer.status_code, answer.data) == (404, b"404 Not Found\n")
    assert "X-Release" not in answer.headers


@pytest.mark.parametrize(
    "target",
    [
        "/etc",
        "../../outside",
        "../web/releases",
        "../web/manifests",
        "../web/main/",
        "../web/main/docs",
        "../web/../web/main",
        "../.blobs/main",
        "./web/main",
        "../web/releases/0123456789abcdef",
    ],
)
def test_a_link_of_another_form_leads_nowhere(
    visitor: Visitor, root: Path, site: str, target: str
) -> None:
    publish_host(root, "odd.localhost", target)

    assert visitor.get("/", host="odd.localhost").status_code == 404


@pytest.mark.parametrize("target", ["/etc", "../other", "releases/../..", "releases/abc", "main"])
def test_a_pointer_of_another_form_leads_nowhere(
    visitor: Visitor, root: Path, site: str, target: str
) -> None:
    replace_link(root / "web" / "main", target)

    assert visitor.get("/").status_code == 404


def test_an_environment_without_a_release_is_404(visitor: Visitor, root: Path, site: str) -> None:
    publish_host(root, "stage--web.localhost", "../web/stage")

    assert visitor.get("/", host="stage--web.localhost").status_code == 404


def test_main_may_be_found_by_search_engines_and_nothing_else(
    visitor: Visitor, root: Path, site: str
) -> None:
    publish_host(root, "www.example.org", "../web/main")
    publish_host(root, "preview.example.org", "../web/test")
    release_host = f"{site[:16]}--web.localhost"

    for host in ("web.localhost", "www.example.org"):
        assert "X-Robots-Tag" not in visitor.get("/", host=host).headers
    for host in ("test--web.localhost", "preview.example.org", release_host):
        for path in ("/", "/noise.bin", "/nothing", "/docs"):
            headers = visitor.get(path, host=host).headers
            assert headers["X-Robots-Tag"] == "noindex"
            assert headers["Referrer-Policy"] == "same-origin"


def test_a_switch_is_followed_by_the_next_request(visitor: Visitor, root: Path, site: str) -> None:
    before = visitor.get("/").headers["X-Release"]
    digest = write_release(root, {"index.html": b"next"})

    point(root, digest)

    answer = visitor.get("/")
    assert (before, answer.headers["X-Release"]) == (site[:16], digest[:16])
    assert answer.data == b"next"
    assert visitor.get("/", host="test--web.localhost").headers["X-Release"] == before


def test_sites_do_not_see_each_other(visitor: Visitor, root: Path, site: str) -> None:
    write_site(root, {"index.html": b"other", "other.txt": b"other"}, slug="other")

    assert visitor.get("/other.txt").status_code == 404
    assert visitor.get("/other.txt", host="other.localhost").status_code == 200


def test_only_the_host_header_decides(visitor: Visitor, root: Path, site: str) -> None:
    write_site(root, {"index.html": b"other"}, slug="other")

    answer = visitor.get(
        "/",
        x_forwarded_host="other.localhost",
        forwarded="host=other.localhost",
        x_original_url="/style.css",
        x_rewrite_url="/style.css",
    )

    assert answer.headers["X-Release"] == site[:16]
    assert b"Home" in answer.data


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "nobody.localhost", "[::1]"])
def test_a_host_that_is_no_site_tells_of_nothing_but_health(
    visitor: Visitor, site: str, host: str
) -> None:
    assert visitor.get("/healthz", host=host).data == b"200 OK\n"
    for path in ("/", "/web", "/healthz/"):
        assert visitor.get(path, host=host).status_code == 404


def test_the_health_page_is_no_page_of_a_site(visitor: Visitor, site: str) -> None:
    assert visitor.get("/healthz").status_code == 404


def test_the_servers_own_name_can_be_published(visitor: Visitor, root: Path, site: str) -> None:
    publish_host(root, "localhost", "../web/main")

    assert b"Home" in visitor.get("/", host="localhost").data


def test_without_the_sites_folder_the_server_says_so(visitor: Visitor, root: Path) -> None:
    root.rmdir()

    assert visitor.get("/healthz", host="localhost").status_code == 503
