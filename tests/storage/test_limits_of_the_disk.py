"""Full disks, split disks, inodes without room, and memory."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from storage import ArchiveLimits, DiskFullError, SiteStore, SplitDeviceError, files
from tests.archives.tar_maker import END, header
from tests.archives.zip_maker import simple_zip
from tests.storage.stores import blobs, contents, everything, receive, release_of, show, tree_of

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "data",
    [
        simple_zip({f"f{number}.bin": os.urandom(900_000) for number in range(6)}),
        simple_zip({"index.html": b"x", **{name: name.encode() * 2_000_000 for name in "abc"}}),
        simple_zip({f"{number}.txt": b"%d" % number * 50_000 for number in range(10, 64)}),
    ],
    ids=["while-spooling", "in-a-large-file", "in-many-files"],
)
def test_a_full_disk_leaves_nothing_of_the_upload(small_disk: Path, data: bytes) -> None:
    store = SiteStore(small_disk / "sites")
    store.prepare()
    digest = release_of(store)
    show(store, digest)
    before = everything(small_disk)

    with pytest.raises(DiskFullError):
        receive(store, data)

    assert everything(small_disk) == before
    assert store.verify("web", digest, full=True).clean


def test_a_rollback_works_on_a_full_disk(small_disk: Path) -> None:
    store = SiteStore(small_disk / "sites")
    store.prepare()
    first, second = release_of(store), release_of(store, {"index.html": b"new"})
    show(store, first)
    show(store, second)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError):  # noqa: PT011
        while True:
            ballast.write(bytes(4096))
    (small_disk / "ballast").chmod(0o600)
    os.truncate(small_disk / "ballast", (small_disk / "ballast").stat().st_size - 8192)

    store.rollback_offline("web", "main", to_digest=None, by="root", reason=None, at="now")

    assert store.pointer("web", "main") == first


def test_no_space_is_named_as_such() -> None:
    with (
        pytest.raises(DiskFullError),
        files.disk_full_reported(),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_a_sites_folder_on_two_file_systems_is_refused(tmp_path: Path, small_disk: Path) -> None:
    store = SiteStore(tmp_path / "sites")
    store.prepare()
    store.check_device()
    (store.layout.staging).rmdir()
    (small_disk / "staging").mkdir()
    store.layout.staging.symlink_to(small_disk / "staging")

    with pytest.raises(SplitDeviceError):
        store.check_device()


def test_a_sound_sites_folder_is_left_as_it_was(store: SiteStore) -> None:
    show(store, release_of(store))
    before = everything(store.layout.root)

    store.check_device()

    assert everything(store.layout.root) == before
    assert store.free_bytes() > 0


def test_an_inode_without_room_for_links_gives_way_to_a_new_one(tmp_path: Path) -> None:
    store = SiteStore(tmp_path / "sites", max_links=3)
    store.prepare()

    digests = [release_of(store, {"page": b"same", "n": b"%d" % n}) for n in range(6)]

    assert all(store.verify("web", digest, full=False).clean for digest in digests)
    inodes = {(tree_of(store, digest) / "page").stat().st_ino for digest in digests}
    assert len(inodes) > 1
    assert all((tree_of(store, digest) / "page").stat().st_nlink <= 3 for digest in digests)
    assert all(contents(tree_of(store, digest))["page"] == b"same" for digest in digests)


def test_the_file_systems_own_limit_of_links_is_met_too(store: SiteStore) -> None:
    digest = release_of(store, {"page": b"same"})
    (blob,) = blobs(store).values()
    folder = store.layout.root / "many"
    folder.mkdir()
    try:
        for number in range(70_000):
            os.link(blob, folder / str(number))
    except OSError:
        pass
    else:
        pytest.skip("this file system takes more than 70,000 links")

    other = release_of(store, {"page": b"same", "n": b"2"})

    assert store.verify("web", digest, full=False).clean
    assert store.verify("web", other, full=False).clean
    (again,) = (path for name, path in blobs(store).items() if name == blob.name)
    assert again.stat().st_nlink == 2


class _ZerosTar:
    """A tar of 200 MB of zeros, made while it is read."""

    def __init__(self) -> None:
        self._parts = self._make()
        self._rest = b""

    def _make(self) -> Iterator[bytes]:
        for number in range(2):
            yield header(b"f%d" % number, size=100 * MIB)
            for _ in range(100):
                yield bytes(MIB)
        yield END

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = next(self._parts, b"")
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk


def test_hundreds_of_megabytes_need_little_memory(store: SiteStore) -> None:
    limits = ArchiveLimits(
        max_upload_bytes=1000 * MIB,
        max_release_bytes=1000 * MIB,
        max_files=100,
        max_file_bytes=200 * MIB,
        max_path_depth=8,
    )
    process = psutil.Process()
    before = process.memory_info().rss

    received = store.receive("web", _ZerosTar(), limits=limits)

    assert process.memory_info().rss - before < 64 * MIB
    assert received.manifest.size_bytes == 200 * MIB
    assert received.new_bytes == 100 * MIB
