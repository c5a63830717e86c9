"""Tell the owners of API tokens in time that these expire."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import aliased

from core.clock import isoformat, utc_now
from core.settings import current_settings
from models.engine import db
from models.tokens import ApiToken
from models.users import User
from services import mail
from services.actors import system_actor
from services.audit import Target, record
from services.credentials import WARN_DAYS, expiry_stage
from services.transaction import changed_rows, end_reading, repeatable, transaction


def warn() -> int:
    """Warn by audit event and mail, once for each of WARN_DAYS; returns how many warnings.

    A token that was rotated has a successor; whoever did that needs no warning.
    """
    now, successor = utc_now(), aliased(ApiToken)
    found = db.session.execute(
        select(ApiToken.id, ApiToken.created_at, ApiToken.expires_at)
        .join(User, User.id == ApiToken.user_id)
        .where(
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > now,
            ApiToken.expires_at <= now + timedelta(days=max(WARN_DAYS)),
            User.is_active.is_(True),
            ~select(successor.id).where(successor.rotated_from_id == ApiToken.id).exists(),
        )
    ).all()
    end_reading()
    stages = [
        (row.id, expiry_stage(created_at=row.created_at, expires_at=row.expires_at, now=now))
        for row in found
    ]
    return sum(_warn(token_id, stage) for token_id, stage in stages if stage is not None)


@repeatable()
def _warn(token_id: int, days: int) -> int:
    with transaction() as session:
        unwarned = or_(ApiToken.warned_days.is_(None), ApiToken.warned_days > days)
        if not changed_rows(
            update(ApiToken).where(ApiToken.id == token_id, unwarned).values(warned_days=days)
        ):
            return 0
        token = session.get_one(ApiToken, token_id)
        record(
            actor=system_actor(),
            action="token.expiring",
            target=Target(type="token", id=token.public_id),
            after={"days": days, "expires_at": isoformat(token.expires_at)},
        )
        mail.write_to(user=token.user, subject=_subject(token), text=_text(token, days))
    return 1


def _subject(token: ApiToken) -> str:
    return f"API token {token.prefix} expires on {_day(token.expires_at)}"


def _text(token: ApiToken, days: int) -> str:
    within = "a day" if days == 1 else f"{days} days"
    return (
        f"Your API token {token.prefix} at {current_settings().public_url} expires in less than "
        f"{within}, at {isoformat(token.expires_at)}.\n\n"
        "Whatever uses it will be refused from then on. Rotate it before, with "
        "POST /api/v1/tokens/self/rotate by itself, or make a new one.\n"
    )


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")
