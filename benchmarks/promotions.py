"""Promotion and rollback through HTTP against the naive way, at growing numbers of files."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.caller import Caller
from benchmarks.measure import Line, interleaved, median, ms
from tests.prove import naive
from tests.prove.content import site_files, zipped
from tests.prove.installation import Installation

PART = "promotions"
FILE_BYTES = 10 * 1024
MOST_FILES = 50_000
SIZES = {100: "", 1_000: ">= 50", 10_000: ">= 500"}
"""Number of files -> by how much a promotion must be faster than the naive way."""
PROMOTIONS_PER_ROUND = 7


@dataclass
class Place:
    """One site of the installation with two releases, and two plain trees of the same files."""

    client: Caller
    signed_in: Caller
    slug: str
    folder: Path
    turn: int = 0

    def promote(self) -> None:
        """Switch main to the other release, with an API token."""
        self.turn += 1
        body = {"to": "main", "release": 1 + self.turn % 2, "allow_older": True}
        self._expect(self.client, "promotions", body)

    def promote_signed_in(self) -> None:
        """Switch main to the other release, as somebody signed in."""
        self.turn += 1
        body = {"to": "main", "release": 1 + self.turn % 2, "allow_older": True}
        self._expect(self.signed_in, "promotions", body)

    def there(self) -> None:
        """Switch main to the second release, as somebody signed in: a hold is no obstacle."""
        self._expect(self.signed_in, "promotions", {"to": "main", "release": 2})

    def back(self) -> None:
        """Roll main back to the first."""
        self._expect(self.signed_in, "rollback", {"environment": "main"})

    def _expect(self, client: Caller, action: str, body: dict[str, object]) -> None:
        document = client.post(f"/sites/{self.slug}/{action}", body, status=201)
        assert document["result"] == "switched", document

    def copy(self) -> None:
        """Promote the naive way."""
        naive.promote(self.folder / "test", self.folder / "main", self.folder / "backup")


def run(quick: bool) -> list[Line]:
    """Measure in one run; every promotion is a whole request with authentication."""
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        work = Path(folder)
        installation = Installation(
            work / "relevo",
            MAX_RELEASE_FILES=str(MOST_FILES + 10),
            MAX_RELEASE_BYTES=str(2 * 1024**3),
            # No worker runs here: uploads of every size are finished inside the call.
            INLINE_RELEASE_FILES=str(MOST_FILES + 10),
            INLINE_RELEASE_BYTES=str(2 * 1024**3),
        )
        installation.set_up()
        with installation.running("web"):
            return _measure(installation, work, quick)


def _measure(installation: Installation, work: Path, quick: bool) -> list[Line]:
    sizes = [100, 1_000] if quick else list(SIZES)
    places = {count: _place(installation, work, count) for count in sizes}
    lines = []
    for count, place in places.items():
        lines.append(_against_naive(place, count, rounds=3 if quick or count > 1_000 else 7))
        shutil.rmtree(place.folder)
    lines.append(_rollback(places[100], rounds=20 if quick else 60))
    largest = 2_000 if quick else MOST_FILES
    lines.append(
        _growth(places[100], _place(installation, work, largest, with_trees=False), largest)
    )
    return lines


def _place(installation: Installation, work: Path, count: int, *, with_trees: bool = True) -> Place:
    slug = f"files-{count}"
    admin = installation.client()
    admin.post("/sites", {"slug": slug, "name": slug}).expect(201)
    size = FILE_BYTES if with_trees else 64
    place = Place(
        client=Caller(installation.port, installation.api_token()),
        signed_in=Caller(installation.port, admin.credential),
        slug=slug,
        folder=work / slug,
    )
    for stamp in ("first", "second"):
        files = site_files(f"{slug} {stamp}", count, size_bytes=size)
        admin.upload(slug, zipped(files), to="none").expect(201)
    if with_trees:
        naive.write_tree(place.folder / "test", files)
        shutil.copytree(place.folder / "test", place.folder / "main")
        shutil.copytree(place.folder / "test", place.folder / "backup")
    place.promote()
    return place


def _against_naive(place: Place, count: int, *, rounds: int) -> Line:
    def several() -> None:
        # What the naive way left unwritten is its own; our flushes would wait for it.
        os.sync()
        for _ in range(PROMOTIONS_PER_ROUND):
            ours.extend(interleaved(1, ours=place.promote)["ours"])

    ours: list[float] = []
    several()
    ours.clear()
    times = interleaved(rounds, ours=several, naive=place.copy)
    best = min(times["naive"])
    return Line(
        PART,
        f"promotion of {count:,} files, times faster than naive",
        best / median(ours),
        SIZES[count],
        detail=f"{ms(median(ours))} median of {len(ours)} (best {ms(min(ours))}), "
        f"naive at best {ms(best)}, median {ms(median(times['naive']))}; "
        f"best against best {best / min(ours):,.0f}x",
    )


def _rollback(place: Place, *, rounds: int) -> Line:
    if place.turn % 2:
        place.promote()
    times = interleaved(rounds, promotion=place.there, rollback=place.back)
    ratios = [b / a for a, b in zip(times["promotion"], times["rollback"], strict=True)]
    return Line(
        PART,
        "rollback, time against promotion",
        median(ratios),
        "<= 1.2",
        detail=f"{ms(median(times['rollback']))} against {ms(median(times['promotion']))}, "
        f"median of {rounds} ratios",
    )


def _growth(small: Place, large: Place, count: int) -> Line:
    times = interleaved(40, small=small.promote_signed_in, large=large.promote_signed_in)
    ratios = [b / a for a, b in zip(times["small"], times["large"], strict=True)]
    return Line(
        PART,
        f"promotion of {count:,} files, time against 100",
        median(ratios),
        "<= 2",
        detail=f"{ms(median(times['large']))} against {ms(median(times['small']))}",
    )
