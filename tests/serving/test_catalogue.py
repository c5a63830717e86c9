import threading
from pathlib import Path

import pytest

from serving.catalogue import Catalogue
from storage.errors import DamagedReleaseError
from storage.layout import Layout
from tests.serving.trees import write_release


def test_a_manifest_is_read_once(root: Path) -> None:
    digest = write_release(root, {"index.html": b"x"})
    catalogue = Catalogue(Layout(root))

    first = catalogue.manifest("web", digest)
    Layout(root).manifest("web", digest).unlink()

    assert catalogue.manifest("web", digest) is first


def test_the_least_recently_used_manifests_are_forgotten_first(root: Path) -> None:
    catalogue = Catalogue(Layout(root), max_kept_files=5)
    digests = [
        write_release(root, {f"{number}-{part}.txt": b"x" for part in range(2)})
        for number in range(3)
    ]
    kept = [catalogue.manifest("web", digest) for digest in digests[:2]]
    assert catalogue.manifest("web", digests[0]) is kept[0]

    catalogue.manifest("web", digests[2])

    assert catalogue.manifest("web", digests[0]) is kept[0]
    assert catalogue.manifest("web", digests[1]) is not kept[1]


def test_a_manifest_beyond_the_bound_is_kept_alone(root: Path) -> None:
    catalogue = Catalogue(Layout(root), max_kept_files=1)
    digest = write_release(root, {f"{number}.txt": b"x" for number in range(10)})

    assert catalogue.manifest("web", digest) is catalogue.manifest("web", digest)


def test_equal_releases_of_two_sites_are_two_things(root: Path) -> None:
    digest = write_release(root, {"index.html": b"x"}, slug="web")

    with pytest.raises(DamagedReleaseError):
        Catalogue(Layout(root)).manifest("other", digest)


def test_many_threads_get_the_same_manifest(root: Path) -> None:
    digest = write_release(root, {f"{number}.txt": b"x" for number in range(500)})
    catalogue = Catalogue(Layout(root))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(catalogue.manifest("web", digest)))
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len({id(manifest) for manifest in found}) == 1
