"""The moves of an environment's pointer, and what lies behind the present release."""

from sqlalchemy import BindParameter, ColumnElement, bindparam, select

from models.engine import db
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from storage.way_back import chain


def of_environment(*, environment_id: int | BindParameter[int]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the promotions that moved this pointer."""
    return (
        Promotion.environment_id == environment_id,
        Promotion.state == PromotionState.SUCCEEDED,
        Promotion.result == PromotionResult.SWITCHED,
    )


_CHAIN = (
    select(Promotion.release_id, Promotion.kind)
    .where(*of_environment(environment_id=bindparam("environment")))
    .order_by(Promotion.number)
)


def chain_of(*, environment_id: int) -> list[int]:
    """Return the keys of the releases that lie on top of each other, the one shown last."""
    rows = db.session.connection().execute(_CHAIN, {"environment": environment_id})
    return chain((row.release_id, row.kind is PromotionKind.ROLLBACK) for row in rows)
