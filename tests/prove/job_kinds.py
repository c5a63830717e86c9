"""The jobs of the campaign: their only effect is a row, in a table that would show a second one."""

import random
import time

from flask import Flask
from sqlalchemy import Column, Integer, MetaData, String, Table

from app import create_app
from core.jobs import JobKind, Queue, register
from models.engine import db
from services.job_runs import JobRun

KIND = "prove.count"
LONG_KIND = "prove.long"
RELEASES_KIND = "prove.releases"
EFFECTS = Table(
    "prove_effects",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", String(22), nullable=False),
)
ATTEMPTS = 10_000
LONGEST_WORK_SECONDS = 0.02


def make_app() -> Flask:
    """Make the application of this environment with the kinds of the campaign."""
    app = create_app()
    register(
        app,
        JobKind(name=KIND, run=count, max_attempts=ATTEMPTS, pause_seconds=lambda _: 0.0),
        JobKind(name=LONG_KIND, run=count_late, max_attempts=ATTEMPTS),
        JobKind(name=RELEASES_KIND, run=count, queue=Queue.RELEASES),
    )
    return app


def count(run: JobRun) -> None:
    """Work for a moment, then have the effect."""
    time.sleep(random.uniform(0, LONGEST_WORK_SECONDS))
    with run.finishing():
        db.session.execute(EFFECTS.insert().values(job=run.id))


def count_late(run: JobRun) -> None:
    """Work for as long as the payload says, then have the effect."""
    time.sleep(run.payload["seconds"])
    with run.finishing():
        db.session.execute(EFFECTS.insert().values(job=run.id))
