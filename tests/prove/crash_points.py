"""SIGKILL at every named point of the code, each with the work that comes by there."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from services import switching  # noqa: F401 - registers the points of promotions
from storage import failpoints
from tests.prove.agreement import disagreements, leftovers
from tests.prove.content import ASSET, PAGE
from tests.prove.crash_scenarios import SCENARIOS, Scenario, Stage
from tests.prove.crashes import begin_site, settled
from tests.prove.installation import Installation
from tests.prove.readers import Releases, reading

NAME = "crash_points"
TITLE = "Killed at every named point"
THRESHOLDS = {
    "points without a scenario": "== 0",
    "points not reached": "== 0",
    "points after which something disagrees": "== 0",
    "left over after the sweep": "== 0",
    "5xx answers to visitors": "== 0",
    "404 answers to visitors": "== 0",
    "mixed bodies": "== 0",
    "slowest recovery in seconds": "<= 5",
}
REACH_SECONDS = 20.0
QUICK_POINTS = (
    "upload.tree_published",
    "switch.link_renamed",
    "environment.link_removed",
)

SWEEP_LEFTOVERS = """
from app import create_app
from services import leftovers
with create_app().app_context():
    leftovers.sweep(older_than_seconds=0)
"""


def run(full: bool) -> dict[str, object]:
    """Arm each point in turn, reach it, kill everything, start again and compare."""
    points = sorted(failpoints.NAMES) if full else list(QUICK_POINTS)
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        installation = Installation(Path(folder))
        installation.set_up()
        try:
            return _campaign(Stage(installation), points)
        finally:
            installation.kill()


def _campaign(stage: Stage, points: Sequence[str]) -> dict[str, object]:
    releases, installation = Releases(), stage.installation
    installation.start()
    begin_site(installation, releases)
    without, unreached, failures, recoveries = [], [], [], []
    visits = 0
    with reading(
        installation.sites_port, releases, [PAGE, ASSET], host="web.localhost", pause_seconds=0.02
    ) as seen:
        for point in points:
            scenarios = [s for prefix, s in SCENARIOS if point.startswith(prefix)]
            if not scenarios:
                without.append(point)
            for scenario in scenarios:
                visits += 1
                if not _die_at(stage, point, scenario):
                    unreached.append(point)
                scenario.mend(stage, point)
                seconds, found = settled(installation, stage.sent)
                recoveries.append(seconds)
                scenario.afterwards(stage, point)
                found += disagreements(installation, stage.sent)
                failures += [f"{point}: {problem}" for problem in found]
    stage.run_alone(SWEEP_LEFTOVERS)
    return {
        "points": len(points),
        "kills": visits,
        "points without a scenario": len(without),
        "points not reached": len(unreached),
        "points after which something disagrees": len({f.partition(":")[0] for f in failures}),
        "left over after the sweep": len(leftovers(installation)),
        "disagreements": [*without, *unreached, *failures, *leftovers(installation)][:8],
        "answers to visitors": seen.answers,
        "5xx answers to visitors": seen.server_errors,
        "404 answers to visitors": seen.not_found,
        "mixed bodies": seen.mixed,
        "slowest recovery in seconds": round(max(recoveries), 2),
    }


def _die_at(stage: Stage, point: str, scenario: Scenario) -> bool:
    """Return whether the point was reached; everything runs again, with nothing armed."""
    installation = stage.installation
    stage.sent.clear()
    scenario.prepare(stage, point)
    installation.stop()
    offset = installation.log.stat().st_size
    installation.start(failpoint=point, wait=False)
    reached = _work_until_dead(stage, point, scenario, offset)
    installation.kill()
    installation.start()
    return reached


def _work_until_dead(stage: Stage, point: str, scenario: Scenario, offset: int) -> bool:
    installation, line = stage.installation, f"failpoint {point}\n".encode()
    try:
        installation.wait_until_ready()
    except RuntimeError:
        return line in installation.log.read_bytes()[offset:]
    scenario.work(stage, point)
    deadline = time.monotonic() + REACH_SECONDS
    while time.monotonic() < deadline:
        if line in installation.log.read_bytes()[offset:]:
            return True
        time.sleep(0.05)
    return False
