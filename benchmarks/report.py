"""Write docs/benchmarks.md from the figures of the last full run of each part."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Line

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, FIGURES = DOCS / "benchmarks.md", DOCS / "benchmarks.json"

HEAD = """# Benchmarks

Written by `make bench`. Only ratios are goals: both sides run in turn in one go, on one machine and
one disk, so that each meets the same neighbours. Of us the median counts, of the naive way its best
time, which is the harder comparison.

* **Promotion** is a whole request: gunicorn with the settings of production, an API token, all
  checks, two durable transactions, the journal and the switch, and the answer.
* **Naive** is what a script does: copy main to a backup, delete main, copy test over it. It gives
  no history, no checks, and while it runs the site is missing or half there.
* **Upload** is the storage alone: unpack, check, hash, store once, seal and sync, against
  `zipfile.extractall`, which does none of it.
"""

TAIL = """
## Where the time of a promotion goes

About 15 SQL statements, two commits, and five flushes to disk: one for each commit, the journal,
its folder and the folder of the pointer. None depends on the number of files. On a busy disk the
flushes are about half of the time, the wait for a processor most of the rest; on a quiet machine
it is the work of the application, of which reading and writing rows is the largest part.

The naive way writes every file twice and waits for no flush, so its time is the disk's. What it
left unwritten is flushed between the rounds, on nobody's account. On a machine that is busy with
other work our median suffers more than the best time of the naive way; the detail column therefore
shows the best times of both as well.

## How to repeat

    make bench                                           # all of it; needs about 4 GB of disk
    .venv/bin/python -m benchmarks promotions            # one part
    .venv/bin/python -m benchmarks uploads --quick       # small sizes, writes nothing

Absolute times move by a factor of two with what else the machine does, and with how soon its disk
acknowledges a flush. No test asserts a time.
"""


def keep(part: str, lines: list[Line]) -> None:
    """Replace the figures of one part and write the page anew."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept[part] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {_kernel()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
        "lines": [{**asdict(line), "met": line.is_met} for line in lines],
    }
    DOCS.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(kept))


def page(kept: Mapping[str, Any]) -> str:
    """Return the page for everything that was kept."""
    return "\n".join([HEAD, *(_section(part, kept[part]) for part in kept), TAIL.lstrip()])


def _section(part: str, figures: Mapping[str, Any]) -> str:
    rows = [
        f"| {line['figure']} | {line['value']:,.2f}{line['unit']} | {_goal(line)} | "
        f"{line['detail']} |"
        for line in figures["lines"]
    ]
    table = "\n".join(["| Figure | Seen | Goal | |", "|---|---|---|---|", *rows])
    return (
        f"## {part.capitalize()}\n\n{table}\n\nSeen on {figures['date']}: {figures['machine']}.\n"
    )


def _goal(line: Mapping[str, Any]) -> str:
    if not line["goal"]:
        return ""
    return f"{line['goal']}{line['unit']}: {'ok' if line['met'] else '**missed**'}"


def _kernel() -> str:
    return ".".join(platform.release().split(".")[:2])
