"""A process that dies at any named point leaves the old state or the new one."""

import ast
from pathlib import Path

import pytest

from storage import SiteStore, Strip, failpoints
from tests.storage import crashing
from tests.storage.crashing import KILLED, NEW_SITE
from tests.storage.stores import (
    LIMITS,
    SITE,
    blobs,
    contents,
    damage,
    everything,
    release_of,
    show,
    tree_of,
    unsealed,
)

STORAGE = Path(failpoints.__file__).parent

UPLOAD_POINTS = sorted(name for name in failpoints.NAMES if name.startswith("upload."))
SWITCH_POINTS = sorted(name for name in failpoints.NAMES if name.startswith(("switch.", "journal")))


def _hit_names() -> set[str]:
    names: set[str] = set()
    for path in STORAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "hit"
            ):
                assert isinstance(node.args[0], ast.Constant), f"{path}: a computed failpoint"
                names.add(str(node.args[0].value))
    return names


def test_every_point_is_registered_and_every_registered_one_exists() -> None:
    own = {name for name in failpoints.NAMES if name.partition(".")[0] in _prefixes()}

    assert _hit_names() == own


def _prefixes() -> set[str]:
    return {name.partition(".")[0] for name in _hit_names()}


def test_an_unknown_point_cannot_be_armed() -> None:
    with pytest.raises(ValueError, match=r"unknown failpoint: switch\.typo"):
        failpoints.arm("switch.typo")


def test_a_registered_point_can_be_armed_and_disarmed() -> None:
    failpoints.register("tests.example")
    failpoints.arm("tests.example")

    failpoints.arm(None)

    failpoints.hit("tests.example")
    failpoints.NAMES.discard("tests.example")


@pytest.mark.parametrize("point", UPLOAD_POINTS)
def test_a_killed_upload_is_there_whole_or_not_at_all(store: SiteStore, point: str) -> None:
    old = release_of(store)

    code = crashing.run(store, "upload", point)

    assert code == KILLED
    assert store.verify("web", old, full=True).clean
    for digest in store.releases("web"):
        assert store.verify("web", digest, full=True).clean
    store.sweep_staging(older_than_seconds=0)
    assert everything(store.layout.staging) == []
    new = release_of(store, NEW_SITE)
    assert contents(tree_of(store, new)) == NEW_SITE
    assert store.verify("web", new, full=True).clean


def test_an_upload_that_was_kept_survives_the_process_that_kept_it(store: SiteStore) -> None:
    code = crashing.run(store, "keep", "keep.linked")

    (name,) = store.kept_uploads(older_than_seconds=-1)
    store.sweep_staging(older_than_seconds=0)
    told: list[tuple[int, int]] = []
    received = store.finish(
        "web",
        name,
        limits=LIMITS,
        strip=Strip.AUTO,
        allow_secret_files=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert code == KILLED
    assert contents(tree_of(store, received.manifest.digest)) == NEW_SITE
    assert told == [(done, len(NEW_SITE)) for done in range(len(NEW_SITE))]
    store.drop_upload(name)
    assert store.kept_uploads(older_than_seconds=-1) == []


@pytest.mark.parametrize("point", SWITCH_POINTS)
@pytest.mark.parametrize("scenario", ["switch", "roll_back"])
def test_a_killed_switch_shows_the_old_release_or_the_new(
    store: SiteStore, scenario: str, point: str
) -> None:
    older = release_of(store, {"index.html": b"older"})
    show(store, older)
    old = release_of(store)
    show(store, old)
    target = release_of(store, NEW_SITE) if scenario == "switch" else older

    code = crashing.run(store, scenario, point)

    shown, journal = store.pointer("web", "main"), store.journal("web", "main")
    assert code == KILLED
    assert shown in (old, target)
    assert journal is not None
    assert journal.to_digest in (old, target)
    if shown == target:
        assert (journal.to_digest, journal.from_digest) == (target, old)
        assert journal.generation == 3
        assert len(journal.offline) == (scenario == "roll_back")
    show(store, target)
    assert store.pointer("web", "main") == target


@pytest.mark.parametrize("point", ["host.link_made", "host.link_renamed"])
def test_a_killed_change_of_a_host_leaves_one_target(store: SiteStore, point: str) -> None:
    store.point_host("www.example.org", "web", "main")

    code = crashing.run(store, "host", point)

    assert code == KILLED
    assert store.hosts()["www.example.org"] in ("web/main", "web/test")
    store.point_host("www.example.org", "web", "test")
    assert store.hosts() == {"www.example.org": "web/test"}


@pytest.mark.parametrize(
    ("scenario", "point"),
    [
        ("remove_host", "host.removed"),
        ("remove_environment", "environment.link_removed"),
        ("remove_environment", "environment.journal_removed"),
        ("delete", "delete.tree_moved"),
        ("delete", "delete.tree_removed"),
        ("remove_site", "delete.site_moved"),
        ("sweep", "sweep.blob_removed"),
        ("sweep_staging", "sweep.staging_removed"),
        ("compress", "variant.written"),
        ("compress", "variant.renamed"),
    ],
)
def test_a_killed_removal_can_be_finished(store: SiteStore, scenario: str, point: str) -> None:
    digest = release_of(store)
    show(store, digest)
    new = release_of(store, NEW_SITE)
    (store.layout.staging / "upload-left").mkdir()
    (store.layout.blobs / "00" / ("00" * 32)).write_bytes(b"orphan")

    code = crashing.run(store, scenario, point)

    assert code == KILLED
    store.sweep_staging(older_than_seconds=0)
    store.sweep_blobs(older_than_seconds=0)
    assert everything(store.layout.staging) == []
    assert "00" * 32 not in blobs(store)
    gone = {"remove_site": (digest, new), "delete": (new,)}.get(scenario, ())
    for kept in {digest, new} - set(gone):
        assert store.verify("web", kept, full=True).clean
    assert contents(tree_of(store, release_of(store))) == SITE


@pytest.mark.parametrize("point", ["heal.rewritten", "heal.exchanged"])
def test_a_killed_repair_can_be_finished(store: SiteStore, point: str) -> None:
    digest = release_of(store, NEW_SITE)
    page = unsealed(tree_of(store, digest)) / "index.html"
    if point == "heal.rewritten":
        damage(page, b"damaged")
    else:
        page.unlink()

    code = crashing.run(store, "upload", point)

    assert code == KILLED
    store.sweep_staging(older_than_seconds=0)
    assert release_of(store, NEW_SITE) == digest
    assert store.verify("web", digest, full=True).clean
