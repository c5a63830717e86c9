"""Switch a webhook off that is gone or has failed for days, and say so."""

from sqlalchemy import select

from core.clock import utc_now
from core.settings import current_settings
from models.engine import db
from models.roles import Role
from models.sites import Membership, Site
from models.users import User
from models.webhooks import DisabledReason, Webhook
from services import mail
from services.actors import system_actor
from services.audit import record
from services.permissions import ADMIN_ROLE
from services.webhooks import WRITE, audit_target

MAX_RECIPIENTS = 20
REASONS = {
    DisabledReason.GONE: "The receiver answered 410: it does not want to be called any more.",
    DisabledReason.FAILING: "Nothing could be delivered to it for days.",
}


def disable(*, webhook: Webhook, reason: DisabledReason) -> None:
    """Switch it off in the open transaction, with an audit event and a mail to its keepers."""
    if not webhook.is_active:
        return
    webhook.is_active, webhook.disabled_reason = False, reason
    webhook.version += 1
    webhook.updated_at = utc_now()
    after = {"target": webhook.target, "reason": reason.value}
    record(
        actor=system_actor(), action="webhook.disabled", target=audit_target(webhook), after=after
    )
    _tell(webhook, reason)


def _tell(webhook: Webhook, reason: DisabledReason) -> None:
    slug = db.session.scalar(select(Site.slug).where(Site.id == webhook.site_id))
    place = f"of the site {slug}" if slug else "of the whole installation"
    text = (
        f"The webhook {webhook.public_id} {place}, which calls {webhook.target}, was switched "
        f"off.\n{REASONS[reason]}\n\nIts log: "
        f"{current_settings().public_url}/api/v1/webhooks/{webhook.public_id}/deliveries\n"
        "Switch it on again by changing is_active to true.\n"
    )
    for address in _keepers(webhook):
        mail.send(to=address, subject=f"Webhook to {webhook.target} switched off", text=text)


def _keepers(webhook: Webhook) -> list[str]:
    """Return the addresses of whoever may change the webhook: owners of the site, or admins."""
    query = select(User.email).where(User.is_active.is_(True), User.email.is_not(None))
    if webhook.site_id is None:
        query = query.where(User.role.has(Role.name == ADMIN_ROLE))
    else:
        query = query.where(User.id.in_(_members(webhook.site_id)))
    found = db.session.scalars(query.order_by(User.id).limit(MAX_RECIPIENTS))
    return [address for address in found if address]


def _members(site_id: int) -> list[int]:
    rows = db.session.execute(
        select(Membership.user_id, Role.effective)
        .join(Role, Role.id == Membership.role_id)
        .where(Membership.site_id == site_id)
    )
    return [user_id for user_id, effective in rows if WRITE in effective]
