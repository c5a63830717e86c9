"""Guessing, forging and racing against the login, with the settings of production."""

import random
import statistics
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.api.token_attacks import KID, SECRET, bit_flips, flips, forgeries
from tests.people import PASSWORD
from tests.prove import seeds
from tests.prove.client import Answer, Client
from tests.prove.installation import Installation
from tests.prove.races import at_once

NAME = "identity"
TITLE = "Login, tokens and sessions"
TIMES = "slowest kind of refused login against the fastest, medians"
AREA = "telling unknown names by the time of the answer (0.5 is a coin)"
THRESHOLDS = {
    TIMES: "<= 1.05",
    AREA: "<= 0.55",
    "guesses let through beyond 10 in a minute": "== 0",
    "answers to guesses other than 401 and 429": "== 0",
    "forged tokens not refused with 401": "== 0",
    "altered tokens not refused with 401": "== 0",
    "rounds without exactly one refreshed session": "== 0",
    "logouts not seen by every worker at once": "== 0",
}
KINDS = ("unknown", "wrong", "deactivated")
WINDOW_SECONDS = 60
WINDOW_LIMIT = 10
CALLERS = 8


def run(full: bool) -> dict[str, object]:
    """Time refused logins, guess with forged addresses, forge tokens and race for sessions."""
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        fast = Installation(Path(folder) / "fast", JWT_KEYS=f"{KID}:{SECRET}")
        fast.work.mkdir()
        fast.set_up()
        with fast.running("web"):
            _make_users(fast)
            figures = {
                **_time_logins(fast, 200 if full else 40),
                **_forge(fast),
                **_race(fast, 100 if full else 5),
                **_log_out(fast, 50 if full else 3),
            }
        strict = Installation(Path(folder) / "strict", LOGIN_RATE_LIMIT="10/minute")
        strict.work.mkdir()
        strict.set_up()
        with strict.running("web"):
            figures |= _guess(strict, 10_000 if full else 500)
    return figures


def _make_users(installation: Installation) -> None:
    admin = installation.client()
    for name in ("ana", "off"):
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        admin.post("/users", body).expect(201)
    admin.delete("/users/off").expect(204)


def _log_in(client: Client) -> Answer:
    answer = client.post("/auth/login", {"username": "ana", "password": PASSWORD})
    answer.expect(200)
    return answer


def _time_logins(installation: Installation, rounds: int) -> dict[str, object]:
    """Take the three kinds of refusal in turn and in a new order each round."""
    client, chance = Client(installation.port), random.Random(seeds.seed())
    bodies = {
        "unknown": {"username": "nobody-here", "password": PASSWORD},
        "wrong": {"username": "ana", "password": f"{PASSWORD}."},
        "deactivated": {"username": "off", "password": PASSWORD},
    }
    for kind in KINDS:
        client.post("/auth/login", bodies[kind]).expect(401)
    seen: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in chance.sample(KINDS, len(KINDS)):
            started = time.perf_counter()
            client.post("/auth/login", bodies[kind]).expect(401)
            seen[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(values) for kind, values in seen.items()}
    return {
        "refused logins timed, of each kind": rounds,
        "median of a refused login, ms": round(1000 * medians["wrong"], 1),
        TIMES: round(max(medians.values()) / min(medians.values()), 3),
        AREA: round(_area(seen["unknown"], seen["wrong"]), 3),
    }


def _area(left: list[float], right: list[float]) -> float:
    """Return how often a threshold tells the two apart: the area under the curve, at least 0.5."""
    wins = sum((a > b) + (a == b) / 2 for a in left for b in right) / (len(left) * len(right))
    return max(wins, 1 - wins)


def _guess(installation: Installation, times: int) -> dict[str, object]:
    """Guess one password with another forged address and spelling of the name each time."""
    client, statuses = Client(installation.port), Counter[int]()
    passed_at: list[float] = []
    for number in range(times):
        forged = f"203.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}"
        name = ("admin", "ADMIN", " admin", "admin ", "ad min")[number % 5]
        answer = client.post(
            "/auth/login",
            {"username": name, "password": f"guess {number}"},
            X_Forwarded_For=forged,
            X_Real_IP=forged,
            Forwarded=f"for={forged}",
        )
        statuses[answer.status] += 1
        if answer.status == 401:
            passed_at.append(time.monotonic())
    most = max(
        sum(1 for later in passed_at if 0 <= later - moment < WINDOW_SECONDS)
        for moment in passed_at
    )
    return {
        "guesses with forged addresses": times,
        "guesses let through": statuses[401],
        "guesses let through beyond 10 in a minute": max(0, most - WINDOW_LIMIT),
        "answers to guesses other than 401 and 429": times - statuses[401] - statuses[429],
    }


def _forge(installation: Installation) -> dict[str, object]:
    """Send every forgery, and the token with one byte altered at each position."""
    token = str(_log_in(Client(installation.port)).document["access_token"])
    Client(installation.port, token).get("/auth/whoami").expect(200)
    forged = list(forgeries(token).values())
    altered = [text for _, text in (*flips(token), *bit_flips(token))]
    return {
        "kinds of forged tokens": len(forged),
        "forged tokens not refused with 401": _accepted(installation, forged),
        "tokens with one altered byte": len(altered),
        "altered tokens not refused with 401": _accepted(installation, altered),
    }


def _accepted(installation: Installation, tokens: list[str]) -> int:
    client = Client(installation.port)
    statuses = [
        client.call("GET", "/auth/whoami", headers={"Authorization": f"Bearer {token}"}).status
        for token in tokens
    ]
    return sum(status != 401 for status in statuses)


def _race(installation: Installation, rounds: int) -> dict[str, object]:
    """Refresh one session from eight callers at once, again and again."""
    wrong, client = 0, Client(installation.port)
    for _ in range(rounds):
        token = str(_log_in(client).document["refresh_token"])
        answers = at_once(installation.port, "", CALLERS, partial(_refresh, token))
        outcomes = Counter(answer.code or str(answer.status) for answer in answers)
        wrong += outcomes != {"200": 1, "refresh_conflict": CALLERS - 1}
    return {
        "rounds of eight parallel refreshes": rounds,
        "rounds without exactly one refreshed session": wrong,
    }


def _refresh(token: str, client: Client) -> Answer:
    return client.post("/auth/refresh", {"refresh_token": token})


def _log_out(installation: Installation, rounds: int) -> dict[str, object]:
    """Log out and ask every worker at once what it thinks of the token."""
    late, client = 0, Client(installation.port)
    for _ in range(rounds):
        token = str(_log_in(client).document["access_token"])
        Client(installation.port, token).post("/auth/logout").expect(204)
        answers = at_once(installation.port, token, CALLERS, lambda c: c.get("/auth/whoami"))
        late += any(answer.code != "token_revoked" for answer in answers)
    return {"logouts": rounds, "logouts not seen by every worker at once": late}
