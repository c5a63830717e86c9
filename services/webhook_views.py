"""Webhooks as the API shows them: with the names of others, and how their targets behave."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from core.clock import utc_now
from models.engine import db
from models.sites import Site
from models.users import User
from models.webhooks import Webhook
from services import webhook_targets
from services.webhook_targets import TargetView
from services.webhooks import NewSecret


@dataclass(frozen=True, kw_only=True)
class WebhookView:
    """A webhook; `secret` only right after it was made."""

    row: Webhook
    site: str | None
    created_by: str | None
    target: TargetView
    old_secret_until: datetime | None
    secret: str | None = None

    @property
    def version(self) -> int:
        """What guards the row against lost updates."""
        return self.row.version


def describe(*, webhooks: Sequence[Webhook]) -> list[WebhookView]:
    """Return the views of `webhooks`."""
    site_ids = {row.site_id for row in webhooks if row.site_id is not None}
    user_ids = {row.created_by_id for row in webhooks if row.created_by_id is not None}
    slugs = dict(db.session.execute(select(Site.id, Site.slug).where(Site.id.in_(site_ids))).all())
    names = dict(
        db.session.execute(select(User.id, User.username).where(User.id.in_(user_ids))).all()
    )
    targets = webhook_targets.views(names=[row.target for row in webhooks])
    return [
        WebhookView(
            row=row,
            site=slugs.get(row.site_id or 0),
            created_by=names.get(row.created_by_id or 0),
            target=targets[row.target],
            old_secret_until=_overlap(row),
        )
        for row in webhooks
    ]


def with_secret(*, made: NewSecret) -> WebhookView:
    """Return the view of a webhook with the secret that was just made."""
    return replace(describe(webhooks=[made.webhook])[0], secret=made.secret)


def _overlap(row: Webhook) -> datetime | None:
    until = row.previous_secret_until
    return until if until is not None and until > utc_now() else None
