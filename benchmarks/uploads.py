"""Durable uploads against `zipfile.extractall`, which is neither checked nor durable."""

import io
import shutil
import tempfile
import zipfile
from pathlib import Path

from benchmarks.measure import Line, interleaved, median, ms
from storage import SiteStore
from storage.inventory import ArchiveLimits
from tests.prove.content import site_files, zipped

PART = "uploads"
FILES = 1_000
FILE_BYTES = 10 * 1024
GIB = 1024**3
LIMITS = ArchiveLimits(
    max_upload_bytes=GIB,
    max_release_bytes=GIB,
    max_files=100_000,
    max_file_bytes=GIB,
    max_path_depth=64,
)


class Contest:
    """The same archive received, extracted and received again; each round on fresh folders."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._archive = zipped(site_files("contest", FILES, size_bytes=FILE_BYTES))
        self._round = 0
        self._store = self._fresh_store()

    def _fresh_store(self) -> SiteStore:
        store = SiteStore(self._work / f"sites-{self._round}")
        store.prepare()
        return store

    def next_round(self) -> None:
        """Put away what the round before wrote, outside of all measurements."""
        shutil.rmtree(self._work / "plain", ignore_errors=True)
        if self._round:
            shutil.rmtree(self._store.layout.root)
        self._round += 1
        self._store = self._fresh_store()

    def receive(self) -> None:
        self._store.receive("web", io.BytesIO(self._archive), limits=LIMITS)

    def extract(self) -> None:
        with zipfile.ZipFile(io.BytesIO(self._archive)) as archive:
            archive.extractall(self._work / "plain")


def run(quick: bool) -> list[Line]:
    """Measure the storage itself; the first round warms up and does not count."""
    first: list[float] = []
    again: list[float] = []
    plain: list[float] = []
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        contest = Contest(Path(folder))
        for _ in range(4 if quick else 12):
            contest.next_round()
            times = interleaved(1, plain=contest.extract, first=contest.receive)
            plain += times["plain"]
            first += times["first"]
            again += interleaved(1, again=contest.receive)["again"]
    return [_durable(first[1:], plain[1:]), _identical(first[1:], again[1:])]


def _durable(first: list[float], plain: list[float]) -> Line:
    return Line(
        PART,
        f"durable upload of {FILES:,} files, time against extractall",
        median([a / b for a, b in zip(first, plain, strict=True)]),
        "<= 1.5",
        detail=f"{ms(median(first))} against {ms(median(plain))}, median of {len(first)} ratios; "
        f"of the best times {min(first) / min(plain):.2f}x",
    )


def _identical(first: list[float], again: list[float]) -> Line:
    return Line(
        PART,
        "identical upload, time against the first",
        median([b / a for a, b in zip(first, again, strict=True)]),
        "<= 0.6",
        detail=f"{ms(median(again))} against {ms(median(first))}, median of {len(first)} ratios; "
        f"of the best times {min(again) / min(first):.2f}x",
    )
