import os
from pathlib import Path

import pytest

from tests.serving.conftest import FILES, Visitor
from tests.serving.exchange import fetch
from tests.serving.payloads import CANARY, traversal_payloads
from tests.serving.trees import point, publish_host, write_release, write_site, write_variants


@pytest.fixture
def release(root: Path, site: str) -> Path:
    """The folder of the release that main shows, with canaries all around it."""
    folder = root / "web" / "releases" / site
    for place in (root.parent, root, root / "web", folder.parent):
        (place / "canary.txt").write_bytes(CANARY)
    (folder / "link.txt").symlink_to(root.parent / "canary.txt")
    (folder / "linked").symlink_to(root.parent)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    return folder


def test_no_path_leads_out_of_a_release(release: Path, gunicorn_port: int) -> None:
    payloads = traversal_payloads()
    answers = {path: fetch(gunicorn_port, path) for path in payloads}

    assert len(payloads) >= 200
    assert not [path for path in payloads if CANARY in answers[path].body]
    assert not [path for path in payloads if b"root:" in answers[path].body]
    expected = {"/?file=../../canary.txt": 200}
    for path, answer in answers.items():
        assert answer.status in (expected.get(path, 404), 400), path


def test_repeated_slashes_do_not_send_anybody_elsewhere(root: Path, gunicorn_port: int) -> None:
    write_site(root, {"evil.example/index.html": b"a folder"})

    answer = fetch(gunicorn_port, "//evil.example")

    assert (answer.status, answer.headers["Location"]) == (301, "/evil.example/")


def test_a_line_break_in_the_address_does_not_reach_the_headers(
    root: Path, site: str, gunicorn_port: int
) -> None:
    answer = fetch(gunicorn_port, "/docs?a=%0d%0aSet-Cookie:x")

    assert answer.headers["Location"] == "/docs/?a=%0d%0aSet-Cookie:x"
    assert "Set-Cookie" not in answer.headers


def test_files_that_are_not_in_the_manifest_are_not_served(visitor: Visitor, release: Path) -> None:
    (release / "planted.html").write_bytes(CANARY)

    assert visitor.get("/planted.html").status_code == 404
    assert visitor.get("/planted").status_code == 404


@pytest.mark.parametrize("path", ["about.html", "docs/index.html", "index.html"])
def test_a_file_replaced_by_a_link_is_not_followed(
    visitor: Visitor, release: Path, path: str
) -> None:
    secret = release.parent / "secret"
    secret.write_bytes(FILES[path])
    (release / path).unlink()
    (release / path).symlink_to(secret)

    assert visitor.get(f"/{path}").status_code == 503


def test_a_folder_replaced_by_a_link_is_not_followed(visitor: Visitor, release: Path) -> None:
    (release / "docs").rename(release.parent / "moved")
    (release / "docs").symlink_to("../moved")

    assert visitor.get("/docs/").status_code == 503


def test_a_release_replaced_by_a_link_is_not_followed(visitor: Visitor, release: Path) -> None:
    release.rename(release.with_name("moved"))
    release.symlink_to("moved")

    assert visitor.get("/").status_code == 503


def test_a_pipe_in_place_of_a_file_holds_nobody(visitor: Visitor, release: Path) -> None:
    (release / "data.json").unlink()
    os.mkfifo(release / "data.json")

    assert visitor.get("/data.json").status_code == 503


def test_a_variant_replaced_by_a_link_is_not_followed(
    visitor: Visitor, root: Path, release: Path
) -> None:
    data = FILES["assets/logo.svg"]
    write_variants(root, data)
    for variant in (root / "web" / ".variants").rglob("*.*"):
        variant.unlink()
        variant.symlink_to(root.parent / "canary.txt")

    answer = visitor.get("/assets/logo.svg", accept_encoding="br, gzip")

    assert (answer.status_code, answer.data) == (200, data)


@pytest.mark.parametrize("change", [b"", b"longer than what was uploaded"])
def test_a_file_of_another_size_is_an_error_and_not_a_short_body(
    visitor: Visitor, release: Path, change: bytes
) -> None:
    (release / "style.css").write_bytes(change)

    answer = visitor.get("/style.css")

    assert (answer.status_code, answer.data) == (503, b"503 Service Unavailable\n")
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_missing_file_is_an_error_of_the_server(visitor: Visitor, release: Path) -> None:
    (release / "style.css").unlink()

    assert visitor.get("/style.css").status_code == 503
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize("damage", ["", "{}", "[]", "not JSON", '{"format":1,"digest":"x"}'])
def test_a_damaged_manifest_is_an_error_of_the_server(
    visitor: Visitor, root: Path, site: str, damage: str
) -> None:
    (root / "web" / "manifests" / f"{site}.json").write_text(damage)

    assert visitor.get("/").status_code == 503


def test_the_manifest_of_another_release_is_not_accepted(
    visitor: Visitor, root: Path, site: str
) -> None:
    other = write_release(root, {"index.html": b"other"})
    manifests = root / "web" / "manifests"
    (manifests / f"{site}.json").write_bytes((manifests / f"{other}.json").read_bytes())

    assert visitor.get("/").status_code == 503


def test_a_release_that_is_deleted_after_a_switch_disturbs_nobody(
    visitor: Visitor, root: Path, site: str
) -> None:
    assert visitor.get("/").status_code == 200
    point(root, write_release(root, {"index.html": b"next"}))
    (root / "web" / "releases" / site).rename(root / "trash")

    assert visitor.get("/").data == b"next"
    gone = f"{site[:16]}--web.localhost"
    assert visitor.get("/", host=gone).status_code == 503
    (root / ".hosts" / gone).unlink()
    assert visitor.get("/", host=gone).status_code == 404


def test_a_host_of_another_site_cannot_borrow_a_release(
    visitor: Visitor, root: Path, site: str
) -> None:
    publish_host(root, "thief.localhost", f"../thief/releases/{site}")

    assert visitor.get("/", host="thief.localhost").status_code == 503
