"""SIGKILL for the whole process group at random moments of ordinary work."""

import tempfile
import time
from pathlib import Path

from tests.prove import seeds
from tests.prove.agreement import Sent, disagreements
from tests.prove.content import ASSET, PAGE, digest_of, site_files, zipped
from tests.prove.installation import Installation
from tests.prove.readers import Releases, reading
from tests.prove.traffic import FILES, Traffic

NAME = "crashes"
TITLE = "Killed at random moments"
THRESHOLDS = {
    "rounds that disagree": "== 0",
    "5xx answers to visitors": "== 0",
    "404 answers to visitors": "== 0",
    "mixed bodies": "== 0",
    "slowest recovery in seconds": "<= 5",
}
ROUNDS, QUICK_ROUNDS = 200, 3
LONGEST_WORK_SECONDS = 1.5
AGREE_SECONDS = 20.0
MOST_SECONDS = 2 * 3600.0
"""After this long the campaign ends and tells how many rounds it had."""


def run(full: bool) -> dict[str, object]:
    """Kill, start again and compare, round after round in one installation."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        installation = Installation(Path(folder))
        installation.set_up()
        try:
            return _campaign(installation, ROUNDS if full else QUICK_ROUNDS)
        finally:
            installation.kill()


def _campaign(installation: Installation, rounds: int) -> dict[str, object]:
    releases, chance = Releases(), seeds.generator("crashes")
    started = time.monotonic()
    installation.start()
    begin_site(installation, releases)
    sent: list[Sent] = []
    recoveries: list[float] = []
    failures: list[str] = []
    with reading(
        installation.sites_port,
        releases,
        [PAGE, ASSET],
        host="web.localhost",
        pause_seconds=0.05,
    ) as seen:
        for turn in range(rounds):
            if time.monotonic() - started > MOST_SECONDS:
                break
            traffic = Traffic(installation, releases, f"{seeds.seed()}-{turn}")
            with traffic.flowing():
                time.sleep(chance.uniform(0, LONGEST_WORK_SECONDS))
                installation.kill()
            sent += traffic.sent
            installation.start()
            seconds, found = settled(installation, traffic.sent)
            recoveries.append(seconds)
            failures += [f"round {turn}: {problem}" for problem in found]
    every = disagreements(installation, sent)
    lost = sum(request.answer is None for request in sent)
    return {
        "rounds": len(recoveries),
        "requests": len(sent),
        "acknowledged requests": sum(request.is_acknowledged for request in sent),
        "requests cut off": lost,
        "promotions cut off": sum(r.answer is None and r.kind == "promotion" for r in sent),
        "uploads cut off": sum(r.answer is None and r.kind == "upload" for r in sent),
        "rounds that disagree": len({text.partition(":")[0] for text in failures}) + bool(every),
        "disagreements": [*failures, *every][:5],
        "answers to visitors": seen.answers,
        "5xx answers to visitors": seen.server_errors,
        "404 answers to visitors": seen.not_found,
        "mixed bodies": seen.mixed,
        "slowest recovery in seconds": round(max(recoveries), 2),
    }


def begin_site(installation: Installation, releases: Releases) -> None:
    """Make the site `web`, with something live in test and main."""
    client = installation.client()
    client.post("/sites", {"slug": "web", "name": "Web"}).expect(201)
    for stamp in ("first", "second"):
        files = site_files(stamp, FILES)
        releases.add(digest_of(files), files)
        client.upload("web", zipped(files)).expect(201)
        client.post("/sites/web/promotions", {"to": "main"}).expect(201)


def settled(installation: Installation, sent: list[Sent]) -> tuple[float, list[str]]:
    """Wait until everything agrees; return after how long, and what still does not."""
    started = time.monotonic()
    while True:
        found = disagreements(installation, sent)
        elapsed = time.monotonic() - started
        if not found or elapsed > AGREE_SECONDS:
            return elapsed, found
        time.sleep(0.1)
