import pytest

from serving.caching import FOREVER, REVALIDATE, cache_control
from tests.serving.conftest import Visitor

JS = "text/javascript; charset=utf-8"

HASHED = [
    "app.3f2a9c1b.js",
    "assets/main-0a1b2c3d4e5f.css",
    "static/media/logo_5d5d9eefa31e5e13a6610d9fa7a283bb.svg",
    "main.3f2a9c1b.chunk.js",
    "main.3f2a9c1b.js.map",
    "assets/index-BxY3kd9Q.js",
    "assets/index-D3_fGh-k.css",
    "_astro/hoisted.BkX3d_9a.js",
    "fonts/inter-BxY3kd9Q.woff2",
]
NOT_HASHED = [
    "app.js",
    "jquery-3.7.1.min.js",
    "report-20240115.pdf",
    "report-december.js",
    "report-2024Jan1.pdf",
    "IMG-12345678.jpg",
    "facade.js",
    "my-decade-effaced.css",
    "BxY3kd9Q.js",
    "3f2a9c1b.js",
    "3f2a9c1b/app.js",
    "app.3f2a9c1b",
    "service-worker.js",
    "logo-BxY3kd9Q.png",
]


@pytest.mark.parametrize("path", HASHED)
def test_a_name_with_a_hash_of_the_content_is_kept_for_ever(path: str) -> None:
    assert cache_control(path, JS) == FOREVER


@pytest.mark.parametrize("path", NOT_HASHED)
def test_every_other_name_is_asked_for_again(path: str) -> None:
    assert cache_control(path, JS) == REVALIDATE


def test_a_page_is_always_asked_for_again() -> None:
    assert cache_control("page.3f2a9c1b.html", "text/html; charset=utf-8") == REVALIDATE


def test_a_missing_file_with_a_hash_is_not_kept(visitor: Visitor, site: str) -> None:
    assert visitor.get("/assets/app.3f2a9c1b.js").headers["Cache-Control"] == FOREVER
    assert visitor.get("/assets/app.00000aaa.js").headers["Cache-Control"] == REVALIDATE
