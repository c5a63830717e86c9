"""Many at once: uploads of equal and of different content, sweeps, switches."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage import ReceivedRelease, SiteStore, StorageError
from storage.locks import file_lock
from tests.archives.zip_maker import simple_zip
from tests.storage import crashing
from tests.storage.crashing import NEW_SITE
from tests.storage.stores import (
    LIMITS,
    SITE,
    blobs,
    contents,
    everything,
    receive,
    release_of,
    show,
    tree_of,
)


def _site(number: int) -> dict[str, bytes]:
    """Half of the files are the same for every number."""
    files = {f"shared/{name}.html": b"same %d" % name * 50 for name in range(20)}
    return files | {f"own/{name}.html": b"own %d %d" % (number, name) for name in range(20)}


def _at_once(count: int, work: Callable[[int], ReceivedRelease]) -> list[ReceivedRelease]:
    barrier = threading.Barrier(count)

    def run(number: int) -> ReceivedRelease:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_the_same_archive_uploaded_eight_times_at_once_is_one_release(store: SiteStore) -> None:
    data = simple_zip(_site(1))

    received = _at_once(8, lambda _number: receive(store, data))

    (digest,) = {release.manifest.digest for release in received}
    assert sum(not release.was_present for release in received) == 1
    assert store.verify("web", digest, full=True).clean
    assert contents(tree_of(store, digest)) == _site(1)
    assert everything(store.layout.staging) == []


def test_different_archives_uploaded_at_once_all_come_out_whole(store: SiteStore) -> None:
    archives = [simple_zip(_site(number)) for number in range(8)]

    received = _at_once(8, lambda number: receive(store, archives[number]))

    for number, release in enumerate(received):
        assert contents(tree_of(store, release.manifest.digest)) == _site(number)
        assert store.verify("web", release.manifest.digest, full=True).clean
    assert len(blobs(store)) == 20 + 8 * 20


def test_processes_may_upload_the_same_at_once(store: SiteStore) -> None:
    command = [sys.executable, "-m", crashing.__name__, str(store.layout.root), "upload", ""]
    root = Path(__file__).parents[2]

    running = [subprocess.Popen(command, cwd=root) for _ in range(4)]
    codes = [process.wait(60) for process in running]

    assert codes == [0, 0, 0, 0]
    (digest,) = store.releases("web")
    assert contents(tree_of(store, digest)) == NEW_SITE
    assert store.verify("web", digest, full=True).clean


def test_uploads_deletions_and_sweeps_do_not_harm_each_other(store: SiteStore) -> None:
    stop = threading.Event()
    data = simple_zip(SITE)

    def sweep() -> None:
        while not stop.is_set():
            store.sweep_blobs(older_than_seconds=0)
            store.sweep_staging(older_than_seconds=0)

    with ThreadPoolExecutor(1) as pool:
        sweeper = pool.submit(sweep)
        try:
            for _ in range(40):
                digest = receive(store, data).manifest.digest
                assert store.verify("web", digest, full=True).clean
                store.delete_release("web", digest)
        finally:
            stop.set()
        sweeper.result()

    store.sweep_blobs(older_than_seconds=0)
    assert blobs(store) == {}


def test_a_sweep_of_the_staging_folder_does_not_disturb_switches(store: SiteStore) -> None:
    digests = [release_of(store), release_of(store, NEW_SITE)]
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            store.sweep_staging(older_than_seconds=0)

    with ThreadPoolExecutor(1) as pool:
        sweeper = pool.submit(sweep)
        try:
            for number in range(100):
                show(store, digests[number % 2])
                store.point_host("www.example.org", "web", "main")
        finally:
            stop.set()
        sweeper.result()

    assert store.pointer("web", "main") == digests[1]
    assert everything(store.layout.staging) == []


def test_a_sweep_does_not_wait_for_a_long_upload(store: SiteStore) -> None:
    store.delete_release("web", release_of(store))

    with file_lock(store.layout.blobs_lock, exclusive=False, wait_seconds=0):
        started = time.monotonic()
        freed = store.sweep_blobs(older_than_seconds=0)

    assert freed == 0
    assert time.monotonic() - started < 60
    assert store.sweep_blobs(older_than_seconds=0) > 0


def test_a_site_removed_during_uploads_ends_them_or_holds_a_whole_release(
    store: SiteStore,
) -> None:
    data = simple_zip(_site(1))

    with ThreadPoolExecutor(2) as pool:
        uploads = [pool.submit(receive, store, data) for _ in range(20)]
        for _ in range(60):
            store.remove_site("web")
        outcomes = [upload.exception() for upload in uploads]

    assert [error for error in outcomes if not isinstance(error, StorageError | None)] == []
    assert all(store.verify("web", digest, full=True).clean for digest in store.releases("web"))
    assert everything(store.layout.staging) == []


class _SlowStream:
    """Stops in the middle until it is told to go on."""

    def __init__(self, data: bytes) -> None:
        self._parts = [data[:10], data[10:]]
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int, /) -> bytes:
        if len(self._parts) == 1:
            self.reached.set()
            self.go_on.wait(30)
        return self._parts.pop(0) if self._parts else b""


def test_the_sweeper_leaves_a_running_upload_alone(store: SiteStore) -> None:
    stream = _SlowStream(simple_zip(SITE))
    (store.layout.staging / "upload-dead").mkdir()

    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(lambda: receive_stream(store, stream))
        stream.reached.wait(30)
        removed = store.sweep_staging(older_than_seconds=0)
        stream.go_on.set()
        received = upload.result()

    assert removed == 1
    assert contents(tree_of(store, received.manifest.digest)) == SITE


def receive_stream(store: SiteStore, stream: _SlowStream) -> ReceivedRelease:
    return store.receive("web", stream, limits=LIMITS)
