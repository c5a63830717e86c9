"""What the worker does while nobody waits."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from core.clock import utc_now
from core.extensions import site_store
from models.engine import db
from models.idempotency import IdempotencyKey, IdempotencyState
from models.releases import Release, ReleaseState
from models.sessions import UserSession
from services import retention, upkeep
from services.transaction import transaction
from tests.factories import (
    OPERATOR,
    damage,
    live,
    make_site,
    push,
    release,
    tree,
    upload,
)
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")

TEXT = b"the quick brown fox " * 400


def _verified(number: int, moment: datetime) -> None:
    with transaction() as session:
        session.execute(update(Release).where(Release.number == number).values(verified_at=moment))


def test_releases_are_compressed_newest_first_until_none_is_left() -> None:
    make_site()
    upload({"index.html": TEXT + b"1"})
    upload({"index.html": TEXT + b"2"})

    done = [upkeep.compress_next(should_stop=lambda: False) for _ in range(3)]

    assert done == [True, True, False]
    assert release(1).compressed_at is not None
    entry = site_store().manifest("web", release(2).digest).entries[0]
    assert site_store().variant("web", entry.sha256, "br") is not None


def test_compression_that_was_stopped_goes_on_later() -> None:
    make_site()
    upload({"index.html": TEXT})

    upkeep.compress_next(should_stop=lambda: True)
    stopped = release(1).compressed_at
    upkeep.compress_next(should_stop=lambda: False)

    assert stopped is None
    assert release(1).compressed_at is not None


def test_the_scrub_takes_what_was_verified_longest_ago() -> None:
    make_site(main=("one", "two"))
    _verified(1, utc_now() - timedelta(days=30))
    _verified(2, utc_now() - timedelta(days=8))
    damage(1)

    first, second, third = upkeep.scrub_next(), upkeep.scrub_next(), release(2).verified_at

    assert (first, second) == (True, True)
    assert release(1).verified_at is None
    assert third is not None
    assert utc_now() - third < timedelta(minutes=5)


def test_there_is_nothing_to_scrub_where_all_was_verified_lately() -> None:
    make_site(main=("one",))

    assert upkeep.scrub_next() is False


def test_a_release_that_was_deleted_while_it_was_compressed_does_no_harm() -> None:
    make_site(main=("one",))
    push({"index.html": TEXT}, to="none")
    retention.delete_release(actor=OPERATOR, slug="web", number=2)

    while upkeep.compress_next(should_stop=lambda: False):
        pass

    assert release(2).compressed_at is None


def test_a_live_release_survives_the_sweep() -> None:
    make_site(main=("one",))

    upkeep.sweep()
    site_store().sweep_blobs(older_than_seconds=0)

    assert live() == 1
    assert (tree(1) / "index.html").read_bytes() == b"one"
    assert release(1).state is ReleaseState.READY


def test_old_answers_and_ended_sessions_are_forgotten(people: People) -> None:
    people.actor("root")
    now = utc_now()
    with transaction() as session:
        for key, age in (("old", 25), ("young", 23)):
            session.add(
                IdempotencyKey(
                    actor_key="user:1",
                    method="POST",
                    path="/",
                    key=key,
                    fingerprint="",
                    state=IdempotencyState.DONE,
                    owner="x",
                    created_at=now - timedelta(hours=age),
                    lease_until=now,
                )
            )
        session.execute(update(UserSession).values(revoked_at=now - timedelta(days=31)))

    forgotten = upkeep.forget()

    assert forgotten == 2
    assert list(db.session.scalars(select(IdempotencyKey.key))) == ["young"]
