"""Many writers of several processes at once on SQLite, through the services: none is refused."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app import create_app
from core.errors import DomainError
from models.audit import AuditEvent
from models.engine import db
from models.sites import Site
from services import audit_proof, sites
from services.actors import cli_actor
from services.sites import SiteChange
from tests.engines import FILE
from tests.people import ENVIRONMENT, make_people
from tests.prove.installation import REPOSITORY

NAME = "writers"
TITLE = "Many writers on SQLite"
THRESHOLDS = {
    "writes refused as locked": "== 0",
    "writes that failed otherwise": "== 0",
    "acknowledged writes that are lost": "== 0",
    "broken audit chains": "== 0",
}
WRITERS, PROCESSES = 16, 4
EACH, QUICK_EACH = 10_000, 625
"""Writes of each writer."""
SITE = "web"
READY = "ready"


def run(full: bool) -> dict[str, object]:
    """Let 16 writers change one site 160,000 times together, or 10,000 times."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        return campaign(Path(folder), EACH if full else QUICK_EACH)


def campaign(folder: Path, each: int, processes: int = PROCESSES) -> dict[str, object]:
    """Let each of the 16 writers make `each` writes to the same row, and look for all of them."""
    people = make_people(folder, DATABASE_URL=f"sqlite:///{folder / FILE}")
    people.site(SITE)
    reports, seconds = _write(folder, each, processes)
    times = sorted(moment for report in reports for moment in report.times_ms)
    failed = [text for report in reports for text in report.failed]
    locked = [text for text in failed if "locked" in text]
    acknowledged = [mark for report in reports for mark in report.acknowledged]
    with people.app.app_context():
        lost, broken = _lost(acknowledged), _broken_chains()
        db.session.remove()
        db.engine.dispose()
    return {
        "writers": WRITERS,
        "processes": processes,
        "writes": len(acknowledged),
        "writes in a second": round(len(acknowledged) / seconds),
        "median of a write, ms": _quantile(times, 0.5),
        "99 % of writes within, ms": _quantile(times, 0.99),
        "slowest write, ms": _quantile(times, 1),
        "writes refused as locked": len(locked),
        "writes that failed otherwise": len(failed) - len(locked),
        "acknowledged writes that are lost": lost,
        "broken audit chains": broken,
    }


@dataclass
class Report:
    """What the writers of one process saw."""

    acknowledged: list[str] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def note(self, mark: str, milliseconds: float) -> None:
        """Keep a write that was acknowledged."""
        self.acknowledged.append(mark)
        self.times_ms.append(milliseconds)

    def note_failure(self, error: Exception) -> None:
        """Keep a write that was refused."""
        self.failed.append(str(error))


def _write(folder: Path, each: int, count: int) -> tuple[list[Report], float]:
    """Start all processes, let them begin at the same moment, and collect what they saw."""
    processes = [_start(folder, number, WRITERS // count, each) for number in range(count)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == READY
    started = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        printed = list(pool.map(lambda process: process.communicate("go\n")[0], processes))
    seconds = time.monotonic() - started
    assert all(process.returncode == 0 for process in processes)
    return [Report(**json.loads(text)) for text in printed], seconds


def _start(folder: Path, number: int, threads: int, each: int) -> "subprocess.Popen[str]":
    place = {"DATA_DIR": str(folder), "DATABASE_URL": f"sqlite:///{folder / FILE}"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.prove.writers", str(number), str(threads), str(each)],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **ENVIRONMENT, **place},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _lost(acknowledged: list[str]) -> int:
    """Count acknowledged writes that left no audit event, and those that changed nothing."""
    query = select(AuditEvent.after).where(AuditEvent.action == "site.updated")
    told = Counter(str((after or {}).get("description")) for after in db.session.scalars(query))
    missing = sum(told[mark] != 1 for mark in acknowledged)
    version = db.session.scalars(select(Site.version).where(Site.slug == SITE)).one()
    return missing + abs(version - 1 - len(acknowledged))


def _broken_chains() -> int:
    return int(not audit_proof.verify(actor=cli_actor()).valid)


def _quantile(ordered: list[float], share: float) -> float:
    """Return the value that this share does not exceed; 0 for nothing."""
    if not ordered:
        return 0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def main(number: int, writers: int, each: int) -> None:
    """Be one of the processes: its threads write, and it prints a report."""
    app, report = create_app(), Report()
    threads = [
        threading.Thread(target=_write_from_thread, args=(app, report, f"{number}-{place}", each))
        for place in range(writers)
    ]
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(asdict(report)))


def _write_from_thread(app: Flask, report: Report, name: str, each: int) -> None:
    with app.app_context():
        for turn in range(each):
            mark, started = f"{name}-{turn}", time.perf_counter()
            try:
                sites.update_site(actor=cli_actor(), slug=SITE, change=SiteChange(description=mark))
            except (SQLAlchemyError, DomainError) as error:
                report.note_failure(error)
            else:
                report.note(mark, 1000 * (time.perf_counter() - started))
        db.session.remove()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
