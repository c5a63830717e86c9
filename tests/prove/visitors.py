"""Visitors read a page and an asset while promotions run, through the real API.

The same readers then watch the naive way, to show that they would notice.
"""

import shutil
import tempfile
from pathlib import Path

from tests.prove import naive
from tests.prove.client import Client
from tests.prove.content import ASSET, PAGE, digest_of, site_files, zipped
from tests.prove.installation import Installation
from tests.prove.readers import Observations, Releases, reading

NAME = "visitors"
TITLE = "Visitors during promotions"
THRESHOLDS = {
    "404 answers": "== 0",
    "5xx answers": "== 0",
    "short or cut bodies": "== 0",
    "mixed bodies": "== 0",
    "lost connections": "== 0",
    "releases seen": "== 2",
    "naive: failed or damaged answers": "> 0",
}
PROMOTIONS, QUICK_PROMOTIONS, NAIVE_PROMOTIONS = 200, 20, 20
FILES = 100


def run(full: bool) -> dict[str, object]:
    """Promote while four threads read; then do the same the naive way."""
    stamps = {stamp: site_files(stamp, FILES) for stamp in ("one", "two")}
    releases = Releases()
    for files in stamps.values():
        releases.add(digest_of(files), files)
    count = PROMOTIONS if full else QUICK_PROMOTIONS
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        seen = _promote(Path(folder), stamps, releases, count)
        seen_naive = _promote_naively(Path(folder), stamps, releases)
    failed = seen_naive.not_found + seen_naive.server_errors + seen_naive.short + seen_naive.mixed
    return {
        "promotions": count,
        "answers": seen.answers,
        "404 answers": seen.not_found,
        "5xx answers": seen.server_errors,
        "short or cut bodies": seen.short,
        "mixed bodies": seen.mixed,
        "lost connections": seen.lost,
        "releases seen": len(seen.seen),
        "naive: promotions": NAIVE_PROMOTIONS,
        "naive: answers": seen_naive.answers,
        "naive: failed or damaged answers": failed,
    }


def _promote(
    work: Path, stamps: dict[str, dict[str, bytes]], releases: Releases, count: int
) -> Observations:
    installation = Installation(work / "relevo")
    installation.set_up()
    with installation.running():
        installation.client().post("/sites", {"slug": "web", "name": "Web"}).expect(201)
        client = Client(installation.port, installation.api_token())
        numbers = [
            client.upload("web", zipped(files)).expect(201)["number"] for files in stamps.values()
        ]
        _to_main(client, numbers[0])
        with reading(
            installation.sites_port, releases, [PAGE, ASSET], host="web.localhost"
        ) as seen:
            for turn in range(count):
                _to_main(client, numbers[(turn + 1) % 2])
    return seen


def _to_main(client: Client, release: object) -> None:
    body = {"to": "main", "release": release, "allow_older": True}
    document = client.post("/sites/web/promotions", body).expect(201)
    assert document["result"] == "switched", document


def _promote_naively(
    work: Path, stamps: dict[str, dict[str, bytes]], releases: Releases
) -> Observations:
    trees = [work / stamp for stamp in stamps]
    for tree, files in zip(trees, stamps.values(), strict=True):
        naive.write_tree(tree, files)
    main = work / "main"
    shutil.copytree(trees[0], main)
    with (
        naive.served(main) as port,
        reading(port, releases, [PAGE, ASSET], host="localhost", tells_release=False) as seen,
    ):
        for turn in range(NAIVE_PROMOTIONS):
            naive.promote(trees[(turn + 1) % 2], main, work / "backup")
    return seen
