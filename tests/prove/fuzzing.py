"""Requests made from the API's own description, good ones and bad ones: none may be a 5xx."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.prove import seeds
from tests.prove.content import site_files, zipped
from tests.prove.installation import Installation

NAME = "fuzzing"
TITLE = "Requests made from the description"
THRESHOLDS = {"requests": ">= 2000", "answers of 5xx": "== 0"}
EXAMPLES, QUICK_EXAMPLES = 40, 2
FUZZ_SECONDS = 900
PROGRAM = Path(sys.executable).parent / "schemathesis"
# What would end the session in use or lock its user out, and so hide everything behind a 401.
LEFT_OUT = (
    "/auth/login",
    "/auth/logout",
    "/auth/logout-all",
    "/auth/password",
    "/auth/refresh",
    "/auth/reset",
    "/auth/sessions/{id}",
    "/auth/totp",
    "/auth/totp/confirm",
    # It ends when the client goes, and schemathesis stays.
    "/events",
)


def run(full: bool) -> dict[str, object]:
    """Fuzz every operation but those that end the session."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        work = Path(folder)
        installation = Installation(work)
        installation.set_up()
        with installation.running():
            statuses = _fuzz(installation, work, EXAMPLES if full else QUICK_EXAMPLES)
    return {
        "requests": sum(statuses.values()),
        "answers of 5xx": sum(count for status, count in statuses.items() if status >= 500),
        "answers by status": dict(sorted(statuses.items())),
    }


def _fuzz(installation: Installation, work: Path, examples: int) -> Counter[int]:
    client = installation.client()
    client.post("/sites", {"slug": "web", "name": "Web"}).expect(201)
    client.upload("web", zipped(site_files("fuzz"))).expect(201)
    report = work / "requests.har"
    outcome = subprocess.run(
        [
            str(PROGRAM),
            "run",
            f"http://127.0.0.1:{installation.port}/openapi.json",
            *("--header", f"Authorization: Bearer {client.credential}"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", "not_a_server_error"),
            *("--max-examples", str(examples), "--seed", str(seeds.seed())),
            *("--report", "har", "--report-har-path", str(report)),
            *("--request-timeout", "30", "--continue-on-failure"),
            *(word for path in LEFT_OUT for word in ("--exclude-path", path)),
        ],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=FUZZ_SECONDS,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(outcome.stdout + outcome.stderr)
    entries = json.loads(report.read_text())["log"]["entries"]
    return Counter(int(entry["response"]["status"]) for entry in entries)
