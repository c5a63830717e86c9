"""Wait for what is on its way: a release being unpacked, a promotion that runs."""

from sqlalchemy import select

from core.waiting import wait_until
from models.engine import db
from models.promotions import Promotion, PromotionState
from models.releases import Release, ReleaseState
from services import access
from services.actors import Actor
from services.transaction import end_reading

UNDER_WAY = (PromotionState.QUEUED, PromotionState.RUNNING)


def for_release(*, actor: Actor, slug: str, reference: int | str | None, seconds: float) -> None:
    """Wait until the release with this number is not being unpacked any more.

    What is no number, or not there, is not waited for: whoever asked is told so at once.

    Raises:
        NotFoundError: there is no such site, or it may not be seen.
    """
    if seconds <= 0 or not isinstance(reference, int):
        return
    site_id = access.find_site(actor=actor, slug=slug).id
    end_reading()
    state = select(Release.state).where(Release.site_id == site_id, Release.number == reference)

    def is_over() -> bool:
        with db.engine.connect() as connection:
            return connection.scalar(state) is not ReleaseState.PROCESSING

    wait_until(is_over, seconds=seconds)


def for_promotion(*, actor: Actor, slug: str, number: int, seconds: float) -> None:
    """Wait until a promotion has ended, or waits for a person.

    Raises:
        NotFoundError: there is no such site, or it may not be seen.
    """
    if seconds <= 0:
        return
    site_id = access.find_site(actor=actor, slug=slug).id
    end_reading()
    state = select(Promotion.state).where(Promotion.site_id == site_id, Promotion.number == number)

    def is_over() -> bool:
        with db.engine.connect() as connection:
            return connection.scalar(state) not in UNDER_WAY

    wait_until(is_over, seconds=seconds)
