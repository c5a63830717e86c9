import shutil
import time
from pathlib import Path

from tests.serving.readers import reading
from tests.serving.trees import Files, point, write_release, write_site

SWITCHES = 240
PAUSE_SECONDS = 0.004
PATHS = ["index.html", "app.js", "large.bin"]


def numbered(number: int) -> Files:
    """Files of one release; each size and content differs from the next release's."""
    return {
        "index.html": f"<p>release {number}</p>".encode() * (number % 7 + 1),
        "app.js": f"let release = {number}\n".encode() * (number % 5 + 1),
        "large.bin": f"{number:08}".encode() * (20_000 + number % 3),
    }


def test_visitors_notice_no_switch(root: Path, gunicorn_port: int) -> None:
    contents = [numbered(number) for number in range(3)]
    digests = [write_site(root, files) for files in contents]
    releases = {digest[:16]: files for digest, files in zip(digests, contents, strict=True)}

    with reading(gunicorn_port, releases, PATHS) as observed:
        for number in range(SWITCHES):
            point(root, digests[number % 3])
            time.sleep(PAUSE_SECONDS)

    assert observed.bad == 0, observed
    assert observed.good > SWITCHES
    assert observed.seen == set(releases)


def test_visitors_notice_no_release_that_is_deleted_behind_the_switch(
    root: Path, gunicorn_port: int
) -> None:
    contents = [numbered(number) for number in range(60)]
    releases: dict[str, Files] = {}
    previous = write_site(root, contents[0])
    releases[previous[:16]] = contents[0]

    with reading(gunicorn_port, releases, PATHS) as observed:
        for files in contents[1:]:
            digest = write_release(root, files)
            releases[digest[:16]] = files
            point(root, digest)
            shutil.rmtree(root / "web" / "releases" / previous)
            (root / "web" / "manifests" / f"{previous}.json").unlink()
            previous = digest

    assert observed.bad == 0, observed
    assert len(observed.seen) > 10


def test_the_same_visitors_notice_a_copy_over_the_live_folder(
    root: Path, gunicorn_port: int
) -> None:
    digest = write_site(root, numbered(1))
    live, source = root / "web" / "releases" / digest, root.parent / "source"
    shutil.copytree(live, source)

    with reading(gunicorn_port, {digest[:16]: numbered(1)}, PATHS) as observed:
        for _ in range(100):
            shutil.rmtree(live)
            shutil.copytree(source, live)
            time.sleep(PAUSE_SECONDS)

    assert observed.bad > 0
    assert observed.good > 0
