"""Problems of promotions that began and did not succeed."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.schemas.promotions import PromotionOut
from core.errors import DomainError
from models.promotions import Promotion
from services import promotion_views

PROMOTION_OUT = PromotionOut()


@contextmanager
def shown_in_problem(slug: str | None = None) -> Iterator[None]:
    """Write a promotion that began and did not succeed into its problem.

    Args:
        slug: the site, where it is known already.
    """
    try:
        yield
    except DomainError as error:
        promotion = error.members.get("promotion")
        if isinstance(promotion, Promotion):
            view = promotion_views.describe(
                slug=slug or promotion.site.slug, promotions=[promotion]
            )[0]
            error.members["promotion"] = PROMOTION_OUT.dump(view)
        raise
