"""Judge figures against their thresholds and write docs/reliability.md from them."""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from core.clock import utc_now
from tests.prove import seeds

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, FIGURES = DOCS / "reliability.md", DOCS / "reliability.json"

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

HEAD = """# Reliability

The figures that `make prove` saw, written by it. Every row can be repeated with the command below
its table; the seed decides all random choices except how the kernel shares out time.

Campaigns run against gunicorn with the settings of production on loopback ports. Only the limits
of calls, the life of access tokens and the ports differ from what is shipped.
"""

TAIL = """## What is not claimed

* **One host.** Nothing here covers several hosts that share one sites folder.
* **SIGKILL is not a power cut.** The page cache survives it. For power cuts there is only the order
  of system calls above and SQLite's `synchronous=FULL`; no disk was cut off, and a disk that
  acknowledges a flush it did not do can lose what was acknowledged.
* **Not against root.** Whoever may write to the sites folder or the database can change both. The
  audit trail shows edits to somebody who kept an anchor elsewhere, and cannot show a tail that was
  cut off together with its head otherwise.
* **A request whose answer was lost has an unknown outcome**, as with any server. It happened once
  or not at all; an `Idempotency-Key` finds out which.
* **Downloads that are being sent when the process is killed end early.** A promotion ends none.
* **Two requests may see two releases.** A page loaded just before a switch may ask for an asset
  just after it. Every answer by itself is of one release and names it in `X-Release`; an asset that
  only the old release has is gone unless its host is used.
* **Numbers depend on machine and load**; thresholds are about outcomes, and times are bounds.
"""


@dataclass(frozen=True)
class Judgement:
    """One figure; `ok` is None where there is no threshold."""

    figure: str
    value: object
    threshold: str
    ok: bool | None


@dataclass(frozen=True)
class Result:
    """What one campaign saw."""

    name: str
    title: str
    date: str
    seed: int
    seconds: float
    judgements: list[Judgement]

    @property
    def missed(self) -> bool:
        """True when a figure misses its threshold."""
        return any(judgement.ok is False for judgement in self.judgements)


def judged(module: ModuleType, figures: Mapping[str, object], *, seconds: float) -> Result:
    """Compare what a campaign returned with the THRESHOLDS of its module."""
    thresholds: dict[str, str] = getattr(module, "THRESHOLDS", {})
    skipped = "skipped" in figures
    judgements = [
        Judgement(name, value, thresholds.get(name, ""), holds(value, thresholds.get(name, "")))
        for name, value in figures.items()
    ]
    judgements += [
        Judgement(name, "not measured", threshold, None if skipped else False)
        for name, threshold in thresholds.items()
        if name not in figures
    ]
    return Result(
        name=str(module.NAME),
        title=str(getattr(module, "TITLE", module.NAME)),
        date=utc_now().date().isoformat(),
        seed=seeds.seed(),
        seconds=round(seconds, 1),
        judgements=judgements,
    )


def holds(value: object, threshold: str) -> bool | None:
    """Tell whether a value keeps to a threshold such as `<= 5`; None without one."""
    if not threshold:
        return None
    comparison, _, limit = threshold.partition(" ")
    if not isinstance(value, int | float):
        return False
    return COMPARISONS[comparison](value, float(limit))


def as_text(result: Result) -> str:
    """Return a result for a terminal."""
    lines = [f"{result.title} ({result.name}), {result.seconds} s, seed {result.seed}"]
    for row in result.judgements:
        state = {None: "", True: "ok", False: "MISSED"}[row.ok]
        lines.append(f"  {row.figure:<48} {_shown(row.value):>12}  {row.threshold:<8} {state}")
    return "\n".join(lines) + "\n"


def keep(result: Result) -> None:
    """Replace one campaign's figures and write the page anew."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept[result.name] = asdict(result)
    DOCS.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(kept, indent=1, sort_keys=True, default=str) + "\n")
    PAGE.write_text(page(kept))


def page(kept: Mapping[str, Mapping[str, object]]) -> str:
    """Return the page for everything that was kept."""
    return "\n".join([HEAD, *(_section(kept[name]) for name in sorted(kept)), TAIL])


def _section(kept: Mapping[str, object]) -> str:
    judgements = kept["judgements"]
    assert isinstance(judgements, list)
    rows = [
        f"| {row['figure']} | {_shown(row['value'])} | {row['threshold']} | "
        f"{ {None: '', True: 'ok', False: '**missed**'}[row['ok']] } |"
        for row in judgements
        if row["value"] != []
    ]
    table = "\n".join(["| Figure | Seen | Threshold | |", "|---|---|---|---|", *rows])
    command = f"{kept['name']} --seed {kept['seed']}"
    return (
        f"## {kept['title']}\n\n{table}\n\nSeen on {kept['date']} in {kept['seconds']} s. "
        f"Repeat: `.venv/bin/python -m tests.prove {command}`\n"
    )


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(str(item) for item in value) or "none"
    return str(value)
