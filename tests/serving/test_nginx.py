"""The shipped nginx configuration against our own server: same tree, same answers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage import content_types
from tests.services_guard import required_program
from tests.serving.conftest import FILES, LONG_PAGE
from tests.serving.exchange import Reply, fetch
from tests.serving.payloads import CANARY, traversal_payloads
from tests.serving.readers import reading
from tests.serving.servers import running_gunicorn, running_nginx
from tests.serving.test_caching import HASHED, NOT_HASHED
from tests.serving.test_switching import PATHS, PAUSE_SECONDS, SWITCHES, numbered
from tests.serving.trees import point, publish_host, write_release, write_site

pytestmark = pytest.mark.service

SAME_HEADERS = [
    "Content-Type",
    "Content-Length",
    "Cache-Control",
    "X-Release",
    "X-Robots-Tag",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "Accept-Ranges",
    "Content-Range",
    "Vary",
    "Location",
    "Allow",
    "Last-Modified",
]
TYPED = [f"typed/file.{extension}" for extension in (*content_types._TEXT, *content_types._OTHER)]
TABLE = [
    ("GET", "/", {}),
    ("HEAD", "/", {}),
    ("HEAD", "/noise.bin", {}),
    ("GET", "/index", {}),
    ("GET", "/about", {}),
    ("GET", "/about.html", {}),
    ("GET", "/about/", {}),
    ("GET", "/about?a=b", {}),
    ("GET", "/gr%C3%BCn", {}),
    ("GET", "/docs/", {}),
    ("GET", "//docs///setup", {}),
    ("GET", "/docs%2fsetup.html", {}),
    ("GET", "/both", {}),
    ("GET", "/both/", {}),
    ("GET", "/two%20words/", {}),
    ("GET", "/no-index", {}),
    ("GET", "/no-index/", {}),
    ("GET", "/nothing", {}),
    ("GET", "/nothing/at/all.js", {}),
    ("GET", "/404", {}),
    ("GET", "/404.html", {}),
    ("GET", "/LICENSE", {}),
    ("GET", "/empty.txt", {}),
    ("GET", "/.env", {}),
    ("GET", "/.git/config", {}),
    ("GET", "/docs/.draft.html", {}),
    ("GET", "/docs/.draft", {}),
    ("GET", "/.well-known/security.txt", {}),
    ("GET", "/.well-known/.hidden", {}),
    ("GET", "/.well-known", {}),
    ("GET", "/docs/../index.html", {}),
    ("GET", "/docs/%2e%2e/index.html", {}),
    ("GET", "/docs/./setup", {}),
    ("GET", "/%5c..%5cindex.html", {}),
    ("GET", "/%ff%fe", {}),
    ("GET", "/assets/app.00000aaa.js", {}),
    ("POST", "/", {}),
    ("DELETE", "/nothing", {}),
    ("OPTIONS", "/about", {}),
    ("GET", "/about", {"Range": "bytes=0-4"}),
    ("GET", "/about", {"Range": "bytes=-4"}),
    ("GET", "/about", {"Range": "bytes=4-"}),
    ("GET", "/about", {"Range": "bytes=0-4,6-9"}),
    ("GET", "/about", {"Range": "bytes=9999999-"}),
    ("GET", "/about", {"Range": "bytes=5-2"}),
    ("GET", "/about", {"Range": "bytes=x"}),
    ("GET", "/empty.txt", {"Range": "bytes=0-"}),
    ("GET", "/about", {"Range": "bytes=0-4", "If-Range": '"other"'}),
    ("GET", "/about", {"If-None-Match": '"other"'}),
    ("GET", "/about", {"If-Modified-Since": "Fri, 31 Dec 2199 23:59:59 GMT"}),
]


@dataclass(frozen=True)
class Pair:
    """Both servers over one sites folder."""

    nginx: int
    ours: int
    root: Path
    acme: Path
    digest: str

    def both(self, target: str, **options: object) -> tuple[Reply, Reply]:
        return (
            fetch(self.nginx, target, **options),  # type: ignore[arg-type]
            fetch(self.ours, target, **options),  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    program = required_program("nginx")
    work = tmp_path_factory.mktemp("nginx")
    root = work / "sites"
    named = dict.fromkeys([*TYPED, *HASHED, *NOT_HASHED], b"x")
    digest = write_site(root, {**named, **FILES})
    publish_host(root, "www.example.org", "../web/main")
    publish_host(root, "stranger.localhost", "/etc")
    write_site(root, {"index.html": b"bare"}, slug="bare")
    with running_nginx(program, root, work) as nginx, running_gunicorn(root, work) as ours:
        yield Pair(nginx, ours, root, work / "acme", digest)


def assert_alike(answers: tuple[Reply, Reply]) -> None:
    nginx, ours = answers
    shown = [
        {name: reply.headers[name] for name in SAME_HEADERS if reply.headers[name]}
        for reply in answers
    ]
    assert (nginx.status, shown[0]) == (ours.status, shown[1])
    assert nginx.body == ours.body


@pytest.mark.parametrize(("method", "target", "headers"), TABLE)
def test_both_answer_alike(pair: Pair, method: str, target: str, headers: dict[str, str]) -> None:
    for host in ("web.localhost", "www.example.org"):
        assert_alike(pair.both(target, host=host, method=method, headers=headers))


@pytest.mark.parametrize(
    "host",
    [
        "WEB.localhost:8080",
        "web.localhost.",
        "test--web.localhost",
        "bare.localhost",
        "nobody.localhost",
        "test--nobody.localhost",
        "stranger.localhost",
        "web_localhost",
        "[::1]:8080",
    ],
)
def test_both_know_the_same_hosts(pair: Pair, host: str) -> None:
    assert_alike(pair.both("/", host=host))
    assert_alike(pair.both("/nothing", host=host))


def test_both_show_single_releases_and_hide_them_from_search_engines(pair: Pair) -> None:
    answers = pair.both("/about", host=f"{pair.digest[:16]}--web.localhost")

    assert_alike(answers)
    assert answers[0].headers["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize("path", [*TYPED, *HASHED, *NOT_HASHED])
def test_both_name_types_and_caching_alike(pair: Pair, path: str) -> None:
    assert_alike(pair.both(f"/{path}"))


@pytest.mark.parametrize("target", ["/docs", "/docs?a=1&b=%20", "//docs", "/two%20words?x"])
def test_both_redirect_folders_alike(pair: Pair, target: str) -> None:
    nginx, ours = pair.both(target)

    for name in ("Location", "Cache-Control", "X-Release"):
        assert nginx.headers[name] == ours.headers[name]
    assert nginx.status == ours.status == 301


def test_both_send_nothing_twice(pair: Pair) -> None:
    for port in (pair.nginx, pair.ours):
        tag = fetch(port, "/about").headers["ETag"]
        again = fetch(port, "/about", headers={"If-None-Match": tag})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
        part = fetch(port, "/about", headers={"Range": "bytes=0-1", "If-Range": tag})
        assert part.status == 206


def test_nginx_compresses_text_by_itself(pair: Pair) -> None:
    answer = fetch(pair.nginx, "/about", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert len(answer.body) < len(LONG_PAGE) / 4


def test_no_path_leads_out_of_a_release_through_nginx(pair: Pair) -> None:
    folder = pair.root / "web" / "releases" / pair.digest
    for place in (pair.root.parent, pair.root, pair.root / "web", folder.parent):
        (place / "canary.txt").write_bytes(CANARY)
    (folder / "link.txt").symlink_to(pair.root / "canary.txt")
    (folder / "linked").symlink_to(pair.root)
    (folder / "page.html").symlink_to(pair.root / "canary.txt")

    for payload in [*traversal_payloads(), "/page", "/page.html"]:
        answer = fetch(pair.nginx, payload)
        assert CANARY not in answer.body, payload
        assert b"root:" not in answer.body, payload
        assert answer.status in (200 if "?" in payload else 404, 400), payload


def test_nginx_follows_switches_without_a_reload(pair: Pair) -> None:
    contents = [numbered(number) for number in range(3)]
    digests = [write_release(pair.root, files) for files in contents]
    releases = {digest[:16]: files for digest, files in zip(digests, contents, strict=True)}
    point(pair.root, digests[0])

    with reading(pair.nginx, releases, PATHS) as observed:
        for number in range(SWITCHES):
            point(pair.root, digests[number % 3])
            time.sleep(PAUSE_SECONDS)
    point(pair.root, pair.digest)

    assert observed.bad == 0, observed
    assert observed.seen == set(releases)
    assert fetch(pair.nginx, "/").headers["X-Release"] == pair.digest[:16]


def test_new_hosts_need_no_reload(pair: Pair) -> None:
    write_site(pair.root, {"index.html": b"fresh"}, slug="fresh")

    assert_alike(pair.both("/", host="fresh.localhost"))


def test_challenges_of_certificates_are_answered_for_every_host(pair: Pair) -> None:
    folder = pair.acme / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("answer")

    for host in ("web.localhost", "not-yet-published.example", "relevo.test"):
        answer = fetch(pair.nginx, "/.well-known/acme-challenge/token", host=host)
        assert (answer.status, answer.body) == (200, b"answer")
        missing = fetch(pair.nginx, "/.well-known/acme-challenge/other", host=host)
        assert missing.status == 404
