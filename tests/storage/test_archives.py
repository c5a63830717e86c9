"""Every hostile archive is refused without a trace; every honest one comes out whole."""

import io
from pathlib import Path

import pytest

from storage import ArchiveRefusedError, LimitReachedError, SiteStore, StorageError
from tests.archives.cases import HostileCase, LegalCase
from tests.archives.hostile_names import hostile_names
from tests.archives.hostile_tar import hostile_tars
from tests.archives.hostile_zip import hostile_zips
from tests.archives.legal import legal_archives
from tests.storage.stores import LIMITS, contents, everything, hashes, receive, tree_of

HOSTILE = [*hostile_names(), *hostile_zips(), *hostile_tars()]
LEGAL = list(legal_archives())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SiteStore:
    """One store for the whole corpus: every refusal must leave it as it was."""
    store = SiteStore(tmp_path_factory.mktemp("corpus") / "sites")
    store.prepare()
    return store


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    shared: SiteStore, case: HostileCase
) -> None:
    data = case.build()
    outside = shared.layout.root.parent
    before = everything(outside)

    with pytest.raises(StorageError) as caught:
        receive(shared, data)

    assert _named_rule(caught.value) == case.rule
    assert everything(outside) == before


def _named_rule(error: StorageError) -> str:
    assert isinstance(error, ArchiveRefusedError | LimitReachedError)
    return error.rule if isinstance(error, ArchiveRefusedError) else error.setting


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: case.name)
def test_an_honest_archive_comes_out_byte_for_byte(shared: SiteStore, case: LegalCase) -> None:
    data = case.build()

    manifest = receive(shared, data, slug="legal").manifest

    assert contents(tree_of(shared, manifest.digest, slug="legal")) == case.files
    assert {entry.path: entry.sha256 for entry in manifest.entries} == hashes(case.files)
    assert shared.verify("legal", manifest.digest, full=True).clean
    assert everything(shared.layout.staging) == []


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(HOSTILE) >= 150
    assert len(LEGAL) >= 40
    assert len({case.name for case in HOSTILE}) == len(HOSTILE)


def test_an_honest_archive_cut_at_any_tenth_is_refused(store: SiteStore, tmp_path: Path) -> None:
    cases = [case for case in LEGAL if case.name in ("zip-streamed", "tar-gz", "tar-plain")]
    before = everything(tmp_path)

    for case in cases:
        data = case.build().rstrip(b"\0")
        for tenth in range(10):
            with pytest.raises(ArchiveRefusedError):
                receive(store, data[: len(data) * tenth // 10])

    assert everything(tmp_path) == before


class _BrokenStream:
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        chunk = self._data.read(min(size, 100))
        if not chunk:
            raise ConnectionResetError("the client went away")
        return chunk


def test_a_dropped_stream_leaves_nothing(store: SiteStore, tmp_path: Path) -> None:
    before = everything(tmp_path)

    with pytest.raises(ConnectionResetError):
        store.receive("web", _BrokenStream(b"PK\3\4" + bytes(5000)), limits=LIMITS)

    assert everything(tmp_path) == before
