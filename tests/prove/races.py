"""Many callers at once: one promotion runs, and a repeated key has one effect."""

import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.prove.client import Answer, Client
from tests.prove.content import site_files, zipped
from tests.prove.installation import Installation

NAME = "races"
TITLE = "Parallel callers"
THRESHOLDS = {
    "rounds without exactly one switch": "== 0",
    "unexpected answers": "== 0",
    "keys with more or less than one promotion": "== 0",
    "database is locked": "== 0",
}
CALLERS, KEY_CALLERS = 50, 20
ROUNDS, QUICK_ROUNDS = 20, 2
PATH = "/sites/web/promotions"


def run(full: bool) -> dict[str, object]:
    """Let 50 callers promote at once, and 20 callers repeat one key at once."""
    rounds = ROUNDS if full else QUICK_ROUNDS
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        installation = Installation(Path(folder))
        installation.set_up()
        with installation.running():
            figures = _race(installation, rounds)
        locked = installation.log.read_text().count("database is locked")
    return {"rounds": rounds, **figures, "database is locked": locked}


def _race(installation: Installation, rounds: int) -> dict[str, object]:
    client = installation.client()
    client.post("/sites", {"slug": "web", "name": "Web"}).expect(201)
    numbers = [
        client.upload("web", zipped(site_files(stamp))).expect(201)["number"]
        for stamp in ("one", "two")
    ]
    token = installation.api_token()
    ledger = installation.ledger()
    not_one = unexpected = wrong_keys = 0
    total: Counter[str] = Counter()
    for turn in range(rounds):
        body = {"to": "main", "release": numbers[turn % 2], "allow_older": True}
        body["comment"] = f"race {turn}"
        answers = at_once(installation.port, token, CALLERS, partial(_promote, body))
        kinds = Counter(_kind(answer) for answer in answers)
        total += kinds
        not_one += kinds["switched"] != 1 or ledger.switched(f"race {turn}") != 1
        unexpected += len(answers) - sum(kinds[kind] for kind in EXPECTED)
        body = {**body, "release": numbers[(turn + 1) % 2], "comment": f"key {turn}"}
        answers = at_once(
            installation.port,
            token,
            KEY_CALLERS,
            partial(_promote, body, key=f"key-{turn}"),
        )
        unexpected += sum(not _is_fine_with_key(answer) for answer in answers)
        made = {answer.document["number"] for answer in answers if answer.status == 201}
        wrong_keys += len(made) != 1 or ledger.promotions(f"key {turn}") != 1
        client.post(PATH, {**body, "comment": "turn"}).expect(201)
        client.post(PATH, {**body, "release": numbers[turn % 2], "comment": "turn"}).expect(201)
    return {
        "callers": CALLERS,
        **{f"answers {kind}": total[kind] for kind in EXPECTED},
        "rounds without exactly one switch": not_one,
        "unexpected answers": unexpected,
        "keys with more or less than one promotion": wrong_keys,
    }


def _promote(body: dict[str, object], client: Client, key: str = "") -> Answer:
    headers = {"Idempotency_Key": key} if key else {}
    return client.post(PATH, body, **headers)


EXPECTED = ("switched", "unchanged", "promotion_in_progress")


def _kind(answer: Answer) -> str:
    return str(answer.document.get("result") or answer.code or answer.status)


def _is_fine_with_key(answer: Answer) -> bool:
    return answer.status == 201 or answer.code in (
        "idempotency_in_progress",
        "promotion_in_progress",
    )


def at_once(
    port: int, credential: str, callers: int, call: Callable[[Client], Answer]
) -> list[Answer]:
    """Make the same call from many threads at the same moment."""
    barrier = threading.Barrier(callers)
    answers: list[Answer] = []

    def caller() -> None:
        client = Client(port, credential)
        client.send("GET", "/healthz")
        barrier.wait()
        answers.append(call(client))
        client.close()

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
