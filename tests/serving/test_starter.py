"""The site that ships: complete, without anything from elsewhere, and served as it should be."""

import re
from pathlib import Path

import pytest

from tests.serving.conftest import Visitor
from tests.serving.trees import write_site

STARTER = Path(__file__).parents[2] / "sites" / "starter"
PAGES = ["index.html", "about.html", "404.html"]
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture
def starter(root: Path) -> dict[str, bytes]:
    files = {
        str(path.relative_to(STARTER)): path.read_bytes()
        for path in STARTER.rglob("*")
        if path.is_file()
    }
    write_site(root, files, slug="starter")
    return files


def test_it_has_what_a_site_needs(starter: dict[str, bytes]) -> None:
    assert {*PAGES, "css/style.css", "js/main.js", "images/relay.svg"} <= set(starter)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page_or_to_the_example_of_a_missing_one(
    visitor: Visitor, starter: dict[str, bytes], page: str
) -> None:
    links = re.findall(r'(?:href|src)="([^"#]+)', starter[page].decode())

    assert links
    for link in links:
        expected = 404 if link == "/nothing-here" else 200
        assert visitor.get(link, host="starter.localhost").status_code == expected, link


def test_nothing_comes_from_another_server(starter: dict[str, bytes]) -> None:
    for path, data in starter.items():
        text = data.decode().replace(NAMESPACE, "").replace("http://localhost:8000", "")
        assert "http:" not in text, path
        assert "https:" not in text, path
        assert '="//' not in text, path


def test_the_commands_are_those_of_the_api(starter: dict[str, bytes]) -> None:
    page = starter["index.html"].decode()

    for call in ("/releases?wait=50", "/promotions?wait=50", "/rollback"):
        assert f"$URL/api/v1/sites/starter{call}" in page
