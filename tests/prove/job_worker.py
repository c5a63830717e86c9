"""A worker process of the campaign: `work [queue ...]` like `relevo worker`, or `deliver`.

`deliver` claims each id it reads from its input, as a message of a broker would, with several
threads at once.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from core.worker_locks import WorkerLock
from models.engine import db
from services import job_claims, job_runs
from tests.prove.job_kinds import make_app

THREADS = 4


def deliver(app: Flask, ids: list[str]) -> None:
    """Deliver every id in this order, some at the same time."""
    owner = WorkerLock(app.extensions["relevo.settings"].data_dir).name

    def one(public_id: str) -> None:
        with app.app_context():
            claim = job_claims.claim_named(owner=owner, public_id=public_id)
            if claim is not None:
                job_runs.carry_out(claim=claim)
            db.session.remove()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, ids))


def main() -> None:
    app = make_app()
    if sys.argv[1] == "work":
        queues = {"queues": sys.argv[2:]} if sys.argv[2:] else {}
        app.extensions["relevo.worker"](**queues).run()
    else:
        deliver(app, sys.stdin.read().split())


if __name__ == "__main__":
    main()
