"""The moves of an environment's pointer, and what lies behind the present release."""

from sqlalchemy import ColumnElement, select

from models.engine import db
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from storage.way_back import chain


def of_environment(*, environment_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the promotions that moved this pointer."""
    return (
        Promotion.environment_id == environment_id,
        Promotion.state == PromotionState.SUCCEEDED,
        Promotion.result == PromotionResult.SWITCHED,
    )


def chain_of(*, environment_id: int) -> list[int]:
    """Return the keys of the releases that lie on top of each other, the one shown last."""
    rows = db.session.execute(
        select(Promotion.release_id, Promotion.kind)
        .where(*of_environment(environment_id=environment_id))
        .order_by(Promotion.number)
    )
    return chain((row.release_id, row.kind is PromotionKind.ROLLBACK) for row in rows)
